// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/tensor_catalog.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

void AddAttention(const ModelConfig& config, int layer, std::vector<TensorSpec>& tensors) {
  const int64_t hidden = config.hidden_size;
  const auto add = [&](absl::string_view part, std::vector<int64_t> shape) {
    tensors.push_back({LayerTensorName(layer, part), std::move(shape)});
  };
  add("input_layernorm", {hidden});
  add("self_attn.q_proj", {config.QueryWidth(), hidden});
  add("self_attn.k_proj", {config.KvWidth(), hidden});
  add("self_attn.v_proj", {config.KvWidth(), hidden});
  add("self_attn.q_norm", {config.head_dim});
  add("self_attn.k_norm", {config.head_dim});
  add("self_attn.o_proj", {hidden, config.QueryWidth()});
  add("post_attention_layernorm", {hidden});
}

void AddMlp(const ModelConfig& config, int layer, std::vector<TensorSpec>& tensors) {
  const int64_t hidden = config.hidden_size;
  const int64_t columns = config.intermediate_size;
  tensors.push_back({LayerTensorName(layer, "mlp.gate_proj"), {columns, hidden}});
  tensors.push_back({LayerTensorName(layer, "mlp.up_proj"), {columns, hidden}});
  tensors.push_back({LayerTensorName(layer, "mlp.down_proj"), {hidden, columns}});
}

void AddExperts(const ModelConfig& config, int layer, std::vector<TensorSpec>& tensors) {
  const int64_t hidden = config.hidden_size;
  const int64_t columns = config.moe_intermediate_size;
  tensors.push_back({LayerTensorName(layer, "mlp.gate"), {config.num_experts, hidden}});
  for (int expert = 0; expert < config.num_experts; ++expert) {
    tensors.push_back({ExpertTensorName(layer, expert, "gate_proj"), {columns, hidden}});
    tensors.push_back({ExpertTensorName(layer, expert, "up_proj"), {columns, hidden}});
    tensors.push_back({ExpertTensorName(layer, expert, "down_proj"), {hidden, columns}});
  }
}

}  // namespace

std::string LayerTensorName(int layer, absl::string_view part) {
  return absl::StrCat("model.layers.", layer, ".", part, ".weight");
}

std::string ExpertTensorName(int layer, int expert, absl::string_view part) {
  return absl::StrCat("model.layers.", layer, ".mlp.experts.", expert, ".", part, ".weight");
}

std::vector<TensorSpec> ExpectedTensors(const ModelConfig& config) {
  std::vector<TensorSpec> tensors;
  tensors.push_back({kEmbedTokensName, {config.vocab_size, config.hidden_size}});
  for (int layer = 0; layer < config.num_layers; ++layer) {
    AddAttention(config, layer, tensors);
    if (config.IsSparse(layer)) {
      AddExperts(config, layer, tensors);
    } else {
      AddMlp(config, layer, tensors);
    }
  }
  tensors.push_back({kFinalNormName, {config.hidden_size}});
  if (!config.IsTied()) tensors.push_back({kLmHeadName, {config.vocab_size, config.hidden_size}});
  return tensors;
}

bool IsNormName(absl::string_view name) { return absl::EndsWith(name, "norm.weight"); }

}  // namespace sdar
