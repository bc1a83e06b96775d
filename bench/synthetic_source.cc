// SPDX-License-Identifier: Apache-2.0
#include "bench/synthetic_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "runtime/model/synthetic.h"

namespace sdar {
namespace {

// Random weights that the arena repeats; far more than a core's cache holds.
constexpr size_t kDistinctWeights = size_t{1} << 22;

size_t CountOf(const TensorSpec& spec) {
  size_t count = 1;
  for (int64_t size : spec.shape) count *= static_cast<size_t>(size);
  return count;
}

}  // namespace

SyntheticSource::SyntheticSource(const ModelConfig& config) {
  size_t largest = 0, longest_norm = 0;
  for (TensorSpec& spec : ExpectedTensors(config)) {
    size_t& most = IsNormName(spec.name) ? longest_norm : largest;
    most = std::max(most, CountOf(spec));
    std::string name = spec.name;
    specs_.emplace(std::move(name), std::move(spec));
  }
  matrix_.resize(largest);
  const size_t distinct = std::min(largest, kDistinctWeights);
  FillSyntheticTensor(0, "bench", 0, absl::MakeSpan(matrix_.data(), distinct));
  for (size_t i = distinct; i < largest; i += distinct) {
    std::copy_n(matrix_.data(), std::min(distinct, largest - i), matrix_.data() + i);
  }
  ones_.assign(longest_norm, ToBFloat16(1));
}

absl::StatusOr<TensorData> SyntheticSource::Find(absl::string_view name) const {
  const auto found = specs_.find(std::string(name));
  if (found == specs_.end()) return absl::NotFoundError(absl::StrCat("no tensor ", name));
  const TensorSpec& spec = found->second;
  const std::vector<BFloat16>& values = IsNormName(name) ? ones_ : matrix_;
  TensorData tensor;
  tensor.dtype = DType::kBFloat16;
  tensor.shape = spec.shape;
  tensor.bytes = absl::MakeSpan(reinterpret_cast<const std::byte*>(values.data()),
                                CountOf(spec) * sizeof(BFloat16));
  tensor.file = "synthetic";
  return tensor;
}

}  // namespace sdar
