// SPDX-License-Identifier: Apache-2.0
// Reads the files of a Hugging Face tokenizer into one description, refusing by name what this
// runtime does not implement.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "common/ids.h"
#include "common/json.h"
#include "runtime/text/added_tokens.h"

namespace sdar {

// The contents of a tokenizer folder's files; those that are absent are empty.
struct TokenizerFiles {
  std::optional<std::string> tokenizer_json;
  std::optional<std::string> tokenizer_config_json;
  std::optional<std::string> vocab_json;
  std::optional<std::string> merges_txt;
  std::optional<std::string> added_tokens_json;
};

// A tokenizer as its files say it.
struct TokenizerDescription {
  std::vector<std::pair<std::string, TokenId>> vocab;       // byte-level spelling, id
  std::vector<std::pair<std::string, std::string>> merges;  // in order of priority
  std::vector<AddedToken> added_tokens;
  std::vector<std::string> patterns;  // of the pre-tokenizer, in order
  bool nfc = false;
  bool ignore_merges = false;  // a word that is an entry is that entry, whatever the merges say
  std::optional<std::string> mask_token;
};

// Reads the files of `folder`. NotFound names the folder, or the files that are missing.
absl::StatusOr<TokenizerFiles> ReadTokenizerFiles(const std::string& folder);

// tokenizer.json counts where it is present, else vocab.json, merges.txt and Qwen2's pattern;
// tokenizer_config.json adds tokens, names special ones and wins over added_tokens.json.
// InvalidArgument names the file and what is wrong in it or not supported.
absl::StatusOr<TokenizerDescription> DescribeTokenizer(const TokenizerFiles& files);

}  // namespace sdar
