// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/remasking.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

using Order = absl::InlinedVector<MaskedPosition, 16>;

// The first n of `order` as ascending positions.
std::vector<int> FirstPositions(const Order& order, int n) {
  std::vector<int> positions(static_cast<size_t>(n));
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = order[i].position;
  std::sort(positions.begin(), positions.end());
  return positions;
}

// Ties go to the lower position.
Order ByConfidence(absl::Span<const MaskedPosition> masked) {
  Order order(masked.begin(), masked.end());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.confidence != b.confidence ? a.confidence > b.confidence : a.position < b.position;
  });
  return order;
}

int CountAbove(absl::Span<const MaskedPosition> masked, double threshold) {
  return static_cast<int>(std::count_if(masked.begin(), masked.end(), [threshold](const auto& m) {
    return m.confidence > threshold;
  }));
}

// arXiv 2505.24857: by ascending entropy, always one, then while the sum of those taken is within
// the bound.
std::vector<int> SelectByEntropy(absl::Span<const MaskedPosition> masked, double bound) {
  Order order(masked.begin(), masked.end());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.entropy != b.entropy ? a.entropy < b.entropy : a.position < b.position;
  });
  int n = 1;
  double sum = order[0].entropy;
  while (n < static_cast<int>(order.size()) && sum <= bound) {
    sum += order[static_cast<size_t>(n++)].entropy;
  }
  return FirstPositions(order, n);
}

}  // namespace

int RevealQuota(const RemaskingOptions& options, int step) {
  const int base = options.block_length / options.denoising_steps;
  return base + (step < options.block_length % options.denoising_steps ? 1 : 0);
}

std::vector<int> SelectReveals(const RemaskingOptions& options, int step,
                               absl::Span<const MaskedPosition> masked) {
  SDAR_CHECK(!masked.empty() && step >= 0 && step < options.denoising_steps);
  const int all = static_cast<int>(masked.size());
  const auto in_order = [&] { return Order(masked.begin(), masked.end()); };
  if (step == options.denoising_steps - 1) return FirstPositions(in_order(), all);
  const int n = std::min(RevealQuota(options, step), all);
  switch (options.strategy) {
    case RemaskingStrategy::kSequential:
      return FirstPositions(in_order(), n);
    case RemaskingStrategy::kLowConfidenceStatic:
      return FirstPositions(ByConfidence(masked), n);
    case RemaskingStrategy::kLowConfidenceDynamic:
      return FirstPositions(ByConfidence(masked),
                            std::max(n, CountAbove(masked, options.confidence_threshold)));
    case RemaskingStrategy::kEntropyBounded:
      return SelectByEntropy(masked, options.entropy_bound);
  }
  return {};
}

}  // namespace sdar
