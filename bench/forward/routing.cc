// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/routing.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

// One draw of what ExpectedExperts averages.
int64_t SimulateExperts(const std::vector<float>& scales, int64_t k, int64_t rows,
                        std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> logits(scales.size());
  std::vector<size_t> ids(scales.size());
  std::vector<bool> met(scales.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (size_t e = 0; e < scales.size(); ++e) logits[e] = scales[e] * normal(random);
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::nth_element(ids.begin(), ids.begin() + (k - 1), ids.end(),
                     [&](size_t a, size_t b) { return logits[a] > logits[b]; });
    for (int64_t i = 0; i < k; ++i) met[ids[static_cast<size_t>(i)]] = true;
  }
  return std::count(met.begin(), met.end(), true);
}

double AverageExperts(const std::vector<float>& scales, int64_t k, int64_t rows) {
  constexpr int64_t kRowsInAll = 2048;
  const int64_t draws = std::max<int64_t>(1, kRowsInAll / std::max<int64_t>(1, rows));
  std::mt19937 random(1);
  int64_t sum = 0;
  for (int64_t i = 0; i < draws; ++i) sum += SimulateExperts(scales, k, rows, random);
  return static_cast<double>(sum) / static_cast<double>(draws);
}

}  // namespace

absl::StatusOr<Routing> ParseRouting(absl::string_view name) {
  if (name == "uniform") return Routing::kUniform;
  if (name == "skewed") return Routing::kSkewed;
  if (name == "hot") return Routing::kHot;
  return absl::InvalidArgumentError(
      absl::StrCat("expected uniform, skewed or hot, got '", name, "'"));
}

float RouterRowScale(const ModelConfig& config, Routing routing, int64_t expert) {
  if (routing == Routing::kUniform) return 1;
  if (routing == Routing::kHot) return 0;
  const auto k = static_cast<float>(config.num_experts_per_token);
  return k / (k + static_cast<float>(expert));
}

double ExpectedExperts(const ModelConfig& config, Routing routing, int64_t rows) {
  const int64_t k = config.num_experts_per_token;
  const auto experts = static_cast<double>(config.num_experts);
  if (config.num_experts == 0 || rows == 0) return 0;
  if (routing == Routing::kHot) return static_cast<double>(k);
  if (routing == Routing::kUniform) {
    return experts *
           (1 - std::pow(1 - static_cast<double>(k) / experts, static_cast<double>(rows)));
  }
  std::vector<float> scales;
  for (int64_t e = 0; e < config.num_experts; ++e) {
    scales.push_back(RouterRowScale(config, routing, e));
  }
  return AverageExperts(scales, k, rows);
}

}  // namespace sdar
