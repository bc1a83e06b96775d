// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/generation_config.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/json_fields.h"
#include "runtime/checkpoint/safetensors.h"

namespace sdar {
namespace {

constexpr double kMaxTemperature = 100.0;
constexpr double kMaxRepetitionPenalty = 100.0;
// Fields that say nothing about what is generated here.
constexpr absl::string_view kFieldsWithoutMeaning[] = {
    "_from_model_config", "bos_token_id", "pad_token_id", "transformers_version", "use_cache"};

// The block length that a model's name ends with; 0: none.
int64_t BlockLengthInName(absl::string_view name) {
  for (int64_t length : {8, 16, 32, 64}) {
    if (absl::EndsWith(name, absl::StrCat("-b", length))) return length;
  }
  return 0;
}

}  // namespace

absl::StatusOr<GenerationDefaults> ParseGenerationConfig(absl::string_view json,
                                                         absl::string_view source,
                                                         const ModelConfig& config) {
  SDAR_ASSIGN_OR_RETURN(const Json parsed, ParseJson(json, source));
  JsonFields fields(parsed, source);
  GenerationDefaults defaults;
  for (int64_t id : fields.IntList("eos_token_id", {0, config.vocab_size - 1})) {
    defaults.eos_token_ids.push_back(static_cast<TokenId>(id));
  }
  if (!fields.Has("eos_token_id")) defaults.eos_token_ids = config.eos_token_ids;
  defaults.do_sample = fields.OptionalBool("do_sample").value_or(false);
  defaults.temperature = fields.OptionalNumber("temperature", 0.0, kMaxTemperature);
  defaults.top_k = fields.OptionalInt("top_k", {0, kMaxVocabSize});
  defaults.top_p = fields.OptionalNumber("top_p", 0.0, 1.0);
  if (fields.Has("repetition_penalty")) {
    defaults.repetition_penalty =
        fields.PositiveNumber("repetition_penalty", kMaxRepetitionPenalty);
  }
  defaults.min_p = fields.OptionalNumber("min_p", 0.0, 1.0);
  for (const std::string& name : fields.Unread()) {
    const bool means_nothing =
        std::find(std::begin(kFieldsWithoutMeaning), std::end(kFieldsWithoutMeaning), name) !=
        std::end(kFieldsWithoutMeaning);
    if (means_nothing) continue;
    defaults.ignored.push_back(
        absl::StrCat("generation_config.json: field ", Quoted(name), " is not known here"));
  }
  SDAR_RETURN_IF_ERROR(fields.status());
  return defaults;
}

absl::StatusOr<GenerationDefaults> LoadGenerationConfig(const std::string& folder,
                                                        const ModelConfig& config) {
  constexpr size_t kMaxBytes = size_t{16} << 20;
  const std::string path = absl::StrCat(folder, "/generation_config.json");
  const auto text = ReadFile(path, kMaxBytes);
  std::error_code error;
  if (absl::IsNotFound(text.status()) && !std::filesystem::exists(path, error) && !error) {
    GenerationDefaults defaults;
    defaults.eos_token_ids = config.eos_token_ids;
    return defaults;
  }
  SDAR_RETURN_IF_ERROR(text.status());
  return ParseGenerationConfig(*text, path, config);
}

absl::string_view Name(BlockLengthSource source) {
  switch (source) {
    case BlockLengthSource::kRequest:
      return "the request";
    case BlockLengthSource::kFlag:
      return "the flag";
    case BlockLengthSource::kConfig:
      return "config.json";
    case BlockLengthSource::kName:
      return "the model's name";
    case BlockLengthSource::kDefault:
      return "the default";
  }
  return "unknown";
}

BlockLength ResolveBlockLength(std::optional<int64_t> request, std::optional<int64_t> flag,
                               const ModelConfig& config, absl::string_view name) {
  if (request) return {*request, BlockLengthSource::kRequest};
  if (flag) return {*flag, BlockLengthSource::kFlag};
  if (config.block_size) return {*config.block_size, BlockLengthSource::kConfig};
  if (const int64_t length = BlockLengthInName(name); length != 0) {
    return {length, BlockLengthSource::kName};
  }
  return {kDefaultBlockLength, BlockLengthSource::kDefault};
}

}  // namespace sdar
