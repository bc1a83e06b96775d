// SPDX-License-Identifier: Apache-2.0
// What a model folder says about generating with it: generation_config.json and the block length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"
#include "runtime/checkpoint/model_config.h"

namespace sdar {

// The defaults of a model's authors. Empty: the file does not say.
struct GenerationDefaults {
  std::vector<TokenId> eos_token_ids;
  bool do_sample = false;  // false: greedy, whatever the values below
  std::optional<double> temperature;
  std::optional<int64_t> top_k;  // 0: no cut
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;  // whether do_sample or not
  // What the file says that has no effect, one sentence each.
  std::vector<std::string> ignored;
};

// Reads the text of generation_config.json. The ids of end tokens come from `config` where the text
// has none. InvalidArgument names `source`, field, expected and got.
absl::StatusOr<GenerationDefaults> ParseGenerationConfig(absl::string_view json,
                                                         absl::string_view source,
                                                         const ModelConfig& config);

// ParseGenerationConfig of FOLDER/generation_config.json; without the file, what `config` says.
absl::StatusOr<GenerationDefaults> LoadGenerationConfig(const std::string& folder,
                                                        const ModelConfig& config);

enum class BlockLengthSource {
  kRequest,
  kFlag,
  kConfig,   // config.json's block_size
  kName,     // a suffix -b8, -b16, -b32 or -b64
  kDefault,  // nothing said; worth a warning
};

// "the request", "the flag", "config.json", "the model's name" or "the default".
absl::string_view Name(BlockLengthSource source);

struct BlockLength {
  int64_t value = 0;
  BlockLengthSource source = BlockLengthSource::kDefault;
};

inline constexpr int64_t kDefaultBlockLength = 4;

// The block length to decode with: the first of `request`, `flag`, the config's block_size and the
// suffix of the model's name that is there, else 4. Does not check that a request's or flag's value
// is allowed.
BlockLength ResolveBlockLength(std::optional<int64_t> request, std::optional<int64_t> flag,
                               const ModelConfig& config, absl::string_view name);

}  // namespace sdar
