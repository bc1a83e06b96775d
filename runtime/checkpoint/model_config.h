// SPDX-License-Identifier: Apache-2.0
// The shape of an SDAR model, as config.json states it, and the rules for which shapes load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"
#include "common/json.h"
#include "runtime/checkpoint/rope_scaling.h"

namespace sdar {

enum class ModelType {
  kDense,  // "sdar"
  kMoe,    // "sdar_moe"
};

// The name config.json uses: "sdar" or "sdar_moe".
absl::string_view Name(ModelType type);

// One model's shape. Members carry config.json's names where the field knows them by those.
struct ModelConfig {
  ModelType model_type = ModelType::kDense;
  int64_t hidden_size = 0;
  int num_layers = 0;
  int num_heads = 0;              // attention (query) heads
  int num_kv_heads = 0;           // divides num_heads
  int64_t head_dim = 0;           // not hidden_size / num_heads in general; even
  int64_t intermediate_size = 0;  // columns of a dense layer's MLP
  int64_t vocab_size = 0;
  double rope_theta = 0.0;
  RopeScaling rope_scaling;
  double rms_norm_eps = 0.0;
  int64_t max_position_embeddings = 0;

  // Mixture of experts only; 0 in dense models.
  int64_t moe_intermediate_size = 0;
  int num_experts = 0;
  int num_experts_per_token = 0;
  bool norm_topk_prob = false;
  int decoder_sparse_step = 1;
  std::vector<int64_t> mlp_only_layers;

  // Empty: the file does not say, and the model is tied when the checkpoint has no lm_head.weight.
  // Checkpoint::Open always fills it in.
  std::optional<bool> tie_word_embeddings;
  std::optional<int64_t> block_size;     // the block length the model was trained with
  std::optional<TokenId> mask_token_id;  // empty: ask the tokenizer
  std::vector<TokenId> eos_token_ids;    // used only where generation_config.json has none
  std::string dtype = "bfloat16";        // as written
  // Fields of config.json, in order, that are not known to mean nothing here and are not read.
  std::vector<std::string> unknown_fields;

  // True when layer `layer` (0 .. num_layers - 1) has experts instead of one MLP.
  bool IsSparse(int layer) const;
  int NumSparseLayers() const;
  // Rows of q_proj, and of k_proj or v_proj.
  int64_t QueryWidth() const { return num_heads * head_dim; }
  int64_t KvWidth() const { return num_kv_heads * head_dim; }
  bool IsTied() const { return tie_word_embeddings.value_or(false); }

  // Positions of the longest sequence: max_position_embeddings, or what rope_scaling stretches it
  // to.
  int64_t LongestSequence() const;

  // Numbers in all weight tensors; in those that one token meets (top-k experts, the embedding
  // row).
  int64_t NumParameters() const;
  int64_t NumActiveParameters() const;

  // InvalidArgument when a value is outside the bounds below or contradicts another one. Within the
  // bounds no size in bytes overflows int64.
  absl::Status Validate() const;
};

// Upper bounds of a shape, far above every real model.
inline constexpr int64_t kMaxHiddenSize = int64_t{1} << 17;
inline constexpr int64_t kMaxIntermediateSize = int64_t{1} << 20;
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHeads = 1024;
inline constexpr int64_t kMaxHeadDim = 1024;
inline constexpr int64_t kMaxVocabSize = int64_t{1} << 24;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr int64_t kMaxExpertsInAllLayers = int64_t{1} << 18;
inline constexpr int64_t kMaxPositions = int64_t{1} << 30;
inline constexpr int64_t kMaxBlockLength = 1024;

// Reads config.json's text; `source` begins every error. InvalidArgument names the field, what was
// expected and what was there: shape fields are required, and a feature this runtime does not have
// (a sliding window, attention bias, another activation, quantization) is refused by name. Reads
// what transformers 4 and 5 write.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json, absl::string_view source);

// ParseModelConfig of FOLDER/config.json. NotFound when there is none.
absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& folder);

// The config.json that ParseModelConfig reads back as `config`.
Json ToJson(const ModelConfig& config);

}  // namespace sdar
