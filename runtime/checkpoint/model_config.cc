// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/model_config.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/checkpoint/json_fields.h"

namespace sdar {
namespace {

constexpr double kMaxNormEps = 1.0;

// Fields that say nothing about what the model computes, or that were true of its training only.
constexpr absl::string_view kMeaningless[] = {"_name_or_path",
                                              "architectures",
                                              "attention_dropout",
                                              "auto_map",
                                              "bos_token_id",
                                              "chunk_size_feed_forward",
                                              "debug",
                                              "ep_size",
                                              "fuse_cross_entropy",
                                              "id2label",
                                              "initializer_range",
                                              "is_encoder_decoder",
                                              "label2id",
                                              "max_window_layers",
                                              "micro_forward",
                                              "output_attentions",
                                              "output_hidden_states",
                                              "output_router_logits",
                                              "pad_token_id",
                                              "problem_type",
                                              "return_dict",
                                              "router_aux_loss_coef",
                                              "skip_checkpoint",
                                              "transformers_version",
                                              "use_cache",
                                              "use_deepep"};

int Narrow(int64_t value) { return static_cast<int>(value); }

void ReadModelType(JsonFields& fields, ModelConfig& config) {
  const std::string type = fields.Text("model_type");
  if (type == Name(ModelType::kMoe)) {
    config.model_type = ModelType::kMoe;
  } else if (type != Name(ModelType::kDense)) {
    fields.Refuse("model_type", "\"sdar\" or \"sdar_moe\"");
  }
}

void ReadShape(JsonFields& fields, ModelConfig& config) {
  config.hidden_size = fields.Int("hidden_size", {1, kMaxHiddenSize});
  config.num_layers = Narrow(fields.Int("num_hidden_layers", {1, kMaxLayers}));
  config.num_heads = Narrow(fields.Int("num_attention_heads", {1, kMaxHeads}));
  config.num_kv_heads = Narrow(fields.Int("num_key_value_heads", {1, kMaxHeads}));
  config.head_dim = fields.Int("head_dim", {2, kMaxHeadDim});
  config.intermediate_size = fields.Int("intermediate_size", {1, kMaxIntermediateSize});
  config.vocab_size = fields.Int("vocab_size", {1, kMaxVocabSize});
  config.rms_norm_eps = fields.PositiveNumber("rms_norm_eps", kMaxNormEps);
  config.max_position_embeddings = fields.Int("max_position_embeddings", {1, kMaxPositions});
  const RopeFields rope = ReadRope(fields, config.max_position_embeddings);
  config.rope_theta = rope.theta;
  config.rope_scaling = rope.scaling;
}

void ReadExperts(JsonFields& fields, ModelConfig& config) {
  if (config.model_type != ModelType::kMoe) return;
  config.moe_intermediate_size = fields.Int("moe_intermediate_size", {1, kMaxIntermediateSize});
  // The name in transformers 5 is that of the attribute it renames: num_local_experts.
  const bool renamed = !fields.Has("num_experts") && fields.Has("num_local_experts");
  config.num_experts =
      Narrow(fields.Int(renamed ? "num_local_experts" : "num_experts", {1, kMaxExperts}));
  if (fields.OptionalInt("num_local_experts", {1, kMaxExperts}).value_or(config.num_experts) !=
      config.num_experts) {
    fields.Refuse("num_local_experts", absl::StrCat("num_experts, ", config.num_experts));
  }
  config.num_experts_per_token = Narrow(fields.Int("num_experts_per_tok", {1, kMaxExperts}));
  config.norm_topk_prob = fields.Bool("norm_topk_prob");
  config.decoder_sparse_step =
      Narrow(fields.OptionalInt("decoder_sparse_step", {1, kMaxLayers}).value_or(1));
  config.mlp_only_layers = fields.IntList("mlp_only_layers", {0, kMaxLayers});
}

void ReadVocabularyFields(JsonFields& fields, ModelConfig& config) {
  const IntRange ids = {0, std::max<int64_t>(config.vocab_size, 1) - 1};
  config.tie_word_embeddings = fields.OptionalBool("tie_word_embeddings");
  config.block_size = fields.OptionalInt("block_size", {1, kMaxBlockLength});
  if (const auto id = fields.OptionalInt("mask_token_id", ids)) {
    config.mask_token_id = static_cast<TokenId>(*id);
  }
  for (int64_t id : fields.IntList("eos_token_id", ids)) {
    config.eos_token_ids.push_back(static_cast<TokenId>(id));
  }
}

// Features of the Qwen3 code that no SDAR model uses and this runtime does not compute.
void RefuseUnsupported(JsonFields& fields) {
  if (fields.Has("quantization_config")) {
    fields.Refuse("quantization_config", "null (quantized checkpoints are not supported)");
  }
  if (fields.OptionalBool("use_sliding_window").value_or(true) && fields.Has("sliding_window")) {
    fields.Refuse("sliding_window", "null, or use_sliding_window false (not supported)");
  }
  if (fields.OptionalBool("attention_bias").value_or(false)) {
    fields.Refuse("attention_bias", "false (not supported)");
  }
  if (fields.OptionalText("hidden_act").value_or("silu") != "silu") {
    fields.Refuse("hidden_act", "\"silu\"");
  }
}

// One kind of attention for each layer.
void CheckLayerTypes(JsonFields& fields, const Json& parsed, const ModelConfig& config) {
  if (!fields.Has("layer_types")) return;
  const Json& types = parsed["layer_types"];
  const bool as_expected =
      types.is_array() && types.size() == static_cast<size_t>(config.num_layers) &&
      std::all_of(types.begin(), types.end(), [](const Json& type) {
        return type.is_string() && type.get_ref<const std::string&>() == "full_attention";
      });
  if (!as_expected) {
    fields.Refuse("layer_types", absl::StrCat("\"full_attention\" for each of ", config.num_layers,
                                              " layers (others are not supported)"));
  }
}

std::vector<std::string> UnknownFields(const JsonFields& fields) {
  std::vector<std::string> unknown = fields.Unread();
  const auto is_known = [](const std::string& name) {
    return std::find(std::begin(kMeaningless), std::end(kMeaningless), name) !=
           std::end(kMeaningless);
  };
  unknown.erase(std::remove_if(unknown.begin(), unknown.end(), is_known), unknown.end());
  return unknown;
}

absl::Status CheckBound(absl::string_view name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("field '", name, "': expected an integer from 1 to ", max, ", got ", value));
}

absl::Status CheckExperts(const ModelConfig& config) {
  SDAR_RETURN_IF_ERROR(
      CheckBound("moe_intermediate_size", config.moe_intermediate_size, kMaxIntermediateSize));
  SDAR_RETURN_IF_ERROR(CheckBound("num_experts", config.num_experts, kMaxExperts));
  SDAR_RETURN_IF_ERROR(
      CheckBound("num_experts_per_tok", config.num_experts_per_token, config.num_experts));
  SDAR_RETURN_IF_ERROR(CheckBound("decoder_sparse_step", config.decoder_sparse_step, kMaxLayers));
  const int64_t all_experts = int64_t{config.num_experts} * config.num_layers;
  if (all_experts > kMaxExpertsInAllLayers) {
    return absl::InvalidArgumentError(absl::StrCat("field 'num_experts': expected at most ",
                                                   kMaxExpertsInAllLayers,
                                                   " in all layers together, got ", all_experts));
  }
  return absl::OkStatus();
}

absl::Status CheckAttention(const ModelConfig& config) {
  SDAR_RETURN_IF_ERROR(CheckBound("num_attention_heads", config.num_heads, kMaxHeads));
  SDAR_RETURN_IF_ERROR(CheckBound("num_key_value_heads", config.num_kv_heads, kMaxHeads));
  SDAR_RETURN_IF_ERROR(CheckBound("head_dim", config.head_dim, kMaxHeadDim));
  if (config.num_heads % config.num_kv_heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("field 'num_key_value_heads': expected a divisor of num_attention_heads (",
                     config.num_heads, "), got ", config.num_kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("field 'head_dim': expected an even number, got ", config.head_dim));
  }
  return absl::OkStatus();
}

// Weights of layer `layer` with `num_experts` experts counted where it is sparse.
int64_t LayerParameters(const ModelConfig& config, int layer, int64_t num_experts) {
  const int64_t hidden = config.hidden_size;
  const int64_t attention = 2 * hidden * (config.QueryWidth() + config.KvWidth());
  const int64_t norms = 2 * hidden + 2 * config.head_dim;
  const int64_t mlp =
      config.IsSparse(layer)
          ? config.num_experts * hidden + num_experts * 3 * hidden * config.moe_intermediate_size
          : 3 * hidden * config.intermediate_size;
  return attention + norms + mlp;
}

}  // namespace

absl::string_view Name(ModelType type) { return type == ModelType::kMoe ? "sdar_moe" : "sdar"; }

bool ModelConfig::IsSparse(int layer) const {
  if (model_type != ModelType::kMoe) return false;
  const bool excepted =
      std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) != mlp_only_layers.end();
  return !excepted && (layer + 1) % decoder_sparse_step == 0;
}

int ModelConfig::NumSparseLayers() const {
  int count = 0;
  for (int layer = 0; layer < num_layers; ++layer) count += IsSparse(layer) ? 1 : 0;
  return count;
}

int64_t ModelConfig::LongestSequence() const {
  const int64_t trained = rope_scaling.type == RopeType::kYarn
                              ? rope_scaling.original_max_position_embeddings
                              : max_position_embeddings;
  if (rope_scaling.type == RopeType::kDefault) return trained;
  const double stretched = static_cast<double>(trained) * rope_scaling.factor;
  return static_cast<int64_t>(std::min(stretched, static_cast<double>(kMaxPositions)));
}

int64_t ModelConfig::NumParameters() const {
  int64_t count = hidden_size + (IsTied() ? 1 : 2) * vocab_size * hidden_size;
  for (int layer = 0; layer < num_layers; ++layer) {
    count += LayerParameters(*this, layer, num_experts);
  }
  return count;
}

int64_t ModelConfig::NumActiveParameters() const {
  int64_t count = 2 * hidden_size + vocab_size * hidden_size;
  for (int layer = 0; layer < num_layers; ++layer) {
    count += LayerParameters(*this, layer, num_experts_per_token);
  }
  return count;
}

absl::Status ModelConfig::Validate() const {
  SDAR_RETURN_IF_ERROR(CheckBound("hidden_size", hidden_size, kMaxHiddenSize));
  SDAR_RETURN_IF_ERROR(CheckBound("num_hidden_layers", num_layers, kMaxLayers));
  SDAR_RETURN_IF_ERROR(CheckBound("intermediate_size", intermediate_size, kMaxIntermediateSize));
  SDAR_RETURN_IF_ERROR(CheckBound("vocab_size", vocab_size, kMaxVocabSize));
  SDAR_RETURN_IF_ERROR(
      CheckBound("max_position_embeddings", max_position_embeddings, kMaxPositions));
  SDAR_RETURN_IF_ERROR(CheckAttention(*this));
  return model_type == ModelType::kMoe ? CheckExperts(*this) : absl::OkStatus();
}

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json, absl::string_view source) {
  SDAR_ASSIGN_OR_RETURN(const Json parsed, ParseJson(json, source));
  JsonFields fields(parsed, source);
  ModelConfig config;
  ReadModelType(fields, config);
  // Unsupported features first: their errors say more than a missing shape field would.
  RefuseUnsupported(fields);
  ReadShape(fields, config);
  ReadExperts(fields, config);
  CheckLayerTypes(fields, parsed, config);
  ReadVocabularyFields(fields, config);
  // The name is torch_dtype in transformers 4 and dtype in 5.
  const std::optional<std::string> older = fields.OptionalText("torch_dtype");
  config.dtype = fields.OptionalText("dtype").value_or(older.value_or(config.dtype));
  config.unknown_fields = UnknownFields(fields);
  SDAR_RETURN_IF_ERROR(fields.status());
  if (const absl::Status status = config.Validate(); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat(source, ": ", status.message()));
  }
  return config;
}

absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& folder) {
  constexpr size_t kMaxBytes = size_t{16} << 20;
  const std::string path = absl::StrCat(folder, "/config.json");
  SDAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  return ParseModelConfig(text, path);
}

Json ToJson(const ModelConfig& config) {
  const bool moe = config.model_type == ModelType::kMoe;
  Json json;
  json["architectures"] = {moe ? "SDARMoeForCausalLM" : "SDARForCausalLM"};
  json["model_type"] = std::string(Name(config.model_type));
  json["hidden_act"] = "silu";
  json["hidden_size"] = config.hidden_size;
  json["num_hidden_layers"] = config.num_layers;
  json["num_attention_heads"] = config.num_heads;
  json["num_key_value_heads"] = config.num_kv_heads;
  json["head_dim"] = config.head_dim;
  json["intermediate_size"] = config.intermediate_size;
  json["vocab_size"] = config.vocab_size;
  json["rope_theta"] = config.rope_theta;
  if (config.rope_scaling.type != RopeType::kDefault) {
    json["rope_scaling"] = ToJson(config.rope_scaling);
  }
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["max_position_embeddings"] = config.max_position_embeddings;
  if (moe) {
    json["moe_intermediate_size"] = config.moe_intermediate_size;
    json["num_experts"] = config.num_experts;
    json["num_experts_per_tok"] = config.num_experts_per_token;
    json["norm_topk_prob"] = config.norm_topk_prob;
    json["decoder_sparse_step"] = config.decoder_sparse_step;
    json["mlp_only_layers"] = config.mlp_only_layers;
  }
  if (config.tie_word_embeddings) json["tie_word_embeddings"] = *config.tie_word_embeddings;
  if (config.block_size) json["block_size"] = *config.block_size;
  if (config.mask_token_id) json["mask_token_id"] = *config.mask_token_id;
  if (!config.eos_token_ids.empty()) json["eos_token_id"] = config.eos_token_ids;
  json["torch_dtype"] = config.dtype;
  return json;
}

}  // namespace sdar
