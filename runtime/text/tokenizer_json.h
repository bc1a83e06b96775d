// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json, the file of Hugging Face's tokenizers library.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/text/tokenizer_files.h"

namespace sdar {

// InvalidArgument "SOURCE: WHAT", as every refusal of a tokenizer's file reads.
absl::Status InvalidTokenizer(absl::string_view source, absl::string_view what);

// Fills `out` from the text of a tokenizer.json. InvalidArgument names the component that is
// missing, malformed or not supported.
absl::Status ReadTokenizerJson(absl::string_view text, TokenizerDescription& out);

// Reads one entry of "added_tokens" or "added_tokens_decoder" but its id. InvalidArgument names
// `source` and the key.
absl::Status ReadAddedToken(const Json& entry, absl::string_view source, AddedToken& out);

// Reads {"token": id, ...}. InvalidArgument names `source` and an entry whose id is not a
// non-negative 32-bit integer.
absl::Status ReadVocab(const Json& vocab, absl::string_view source,
                       std::vector<std::pair<std::string, TokenId>>& out);

}  // namespace sdar
