// SPDX-License-Identifier: Apache-2.0
// Names and shapes of the weight tensors that a model config implies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "runtime/checkpoint/model_config.h"

namespace sdar {

inline constexpr char kEmbedTokensName[] = "model.embed_tokens.weight";  // [vocab, hidden]
inline constexpr char kFinalNormName[] = "model.norm.weight";            // [hidden]
inline constexpr char kLmHeadName[] = "lm_head.weight";                  // [vocab, hidden]

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};

// "model.layers.LAYER.PART.weight"; part is "input_layernorm", "self_attn.q_proj", "mlp.gate", ...
std::string LayerTensorName(int layer, absl::string_view part);

// "model.layers.LAYER.mlp.experts.EXPERT.PART.weight"; part is "gate_proj", "up_proj" or
// "down_proj".
std::string ExpertTensorName(int layer, int expert, absl::string_view part);

// Every tensor of the model in forward order. Projections are stored [out, in], as in the files.
// lm_head.weight is listed unless config.IsTied(). Requires: config.Validate() is OK.
std::vector<TensorSpec> ExpectedTensors(const ModelConfig& config);

// True for the vectors that scale a normalised row (RMS-norms and the norms of q and k).
bool IsNormName(absl::string_view name);

}  // namespace sdar
