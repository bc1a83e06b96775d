// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/synthetic_source.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "runtime/checkpoint/synthetic.h"

namespace sdar {
namespace {

constexpr uint64_t kSeed = 0;

std::vector<BFloat16> ValuesOf(const TensorSpec& spec) {
  size_t count = 1;
  for (int64_t size : spec.shape) count *= static_cast<size_t>(size);
  std::vector<BFloat16> values(count);
  FillSyntheticTensor(kSeed, spec.name, 0, absl::MakeSpan(values));
  return values;
}

std::vector<BFloat16> RouterOf(const TensorSpec& spec, const ModelConfig& config, Routing routing) {
  std::vector<BFloat16> values = ValuesOf(spec);
  const auto cols = static_cast<size_t>(spec.shape[1]);
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = RouterRowScale(config, routing, static_cast<int64_t>(i / cols));
    values[i] = ToBFloat16(ToFloat(values[i]) * scale);
  }
  return values;
}

}  // namespace

SyntheticSource::SyntheticSource(const ModelConfig& config, Routing routing) {
  for (TensorSpec& spec : ExpectedTensors(config)) {
    Tensor tensor;
    if (IsNormName(spec.name)) {
      tensor.values = ValuesOf(spec);
    } else if (routing != Routing::kUniform && absl::EndsWith(spec.name, ".mlp.gate.weight")) {
      tensor.values = RouterOf(spec, config, routing);
    }
    tensor.spec = std::move(spec);
    std::string name = tensor.spec.name;
    tensors_.emplace(std::move(name), std::move(tensor));
  }
}

absl::StatusOr<TensorData> SyntheticSource::Find(absl::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat("no tensor ", name));
  const Tensor& tensor = found->second;
  TensorData out;
  out.dtype = DType::kBFloat16;
  out.shape = tensor.spec.shape;
  out.file = "synthetic";
  if (tensor.values.empty()) {
    out.synthetic_key = SyntheticKey(kSeed, name);
  } else {
    out.bytes = absl::MakeSpan(reinterpret_cast<const std::byte*>(tensor.values.data()),
                               tensor.values.size() * sizeof(BFloat16));
  }
  return out;
}

}  // namespace sdar
