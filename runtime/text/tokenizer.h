// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back: the byte-level BPE of Qwen2 tokenizers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/text/added_tokens.h"
#include "runtime/text/bpe.h"
#include "runtime/text/pretokenizer.h"
#include "runtime/text/tokenizer_files.h"

namespace sdar {

// A loaded tokenizer. Const use is thread-safe.
class Tokenizer {
 public:
  // Loads the tokenizer of a model's folder. NotFound names what is missing, InvalidArgument the
  // file and what in it is wrong or not supported.
  static absl::StatusOr<Tokenizer> Load(const std::string& folder);
  // The same from the files' contents.
  static absl::StatusOr<Tokenizer> FromFiles(const TokenizerFiles& files);

  // The tokens of `text`; what is not UTF-8 in it counts as U+FFFD. Near linear in the length.
  // ResourceExhausted when the model's pre-tokenizer pattern passes its limits on this text.
  absl::StatusOr<std::vector<TokenId>> Encode(absl::string_view text) const;

  // No text of more bytes becomes `num_tokens` tokens or fewer. Absent where there is no such
  // bound.
  std::optional<size_t> MaxTextBytes(int64_t num_tokens) const;

  // The text of `ids`: their bytes joined, then read as UTF-8 with U+FFFD for what is invalid.
  // Ids without an entry, and special ones when `skip_special` is set, stand for nothing.
  std::string Decode(absl::Span<const TokenId> ids, bool skip_special) const;

  // The bytes of one token, not necessarily UTF-8; empty for an id without an entry.
  absl::string_view TokenBytes(TokenId id) const;
  bool HasToken(TokenId id) const;
  bool IsSpecial(TokenId id) const;
  // The token whose whole text is `content` (added tokens first).
  std::optional<TokenId> FindToken(absl::string_view content) const;
  // The mask token that tokenizer_config.json names, if the vocabulary has it.
  std::optional<TokenId> mask_token() const { return mask_token_; }
  // One past the largest id; ids below it may lack an entry.
  int vocab_limit() const { return static_cast<int>(entries_.size()); }

 private:
  struct Entry {
    std::string bytes;
    bool present = false;
    bool special = false;
  };

  Tokenizer(Pretokenizer pretokenizer) : pretokenizer_(std::move(pretokenizer)) {}

  absl::Status PlaceVocab(const TokenizerDescription& description);
  absl::Status PlaceAddedTokens(const TokenizerDescription& description);
  absl::Status PlaceMerges(const TokenizerDescription& description);
  absl::Status EncodeRaw(absl::string_view text, std::vector<TokenId>& out) const;
  absl::Status EncodeNormalized(absl::string_view text, std::vector<TokenId>& out) const;
  absl::Status EncodeOrdinary(absl::string_view text, std::vector<TokenId>& out) const;

  std::vector<Entry> entries_;  // by id
  absl::flat_hash_map<std::string, TokenId> id_of_bytes_;
  AddedTokenMatcher raw_matcher_;         // added tokens looked for in the raw text
  AddedTokenMatcher normalized_matcher_;  // and those looked for in the normalised text
  Pretokenizer pretokenizer_;
  BpeMerger merger_;
  bool nfc_ = false;
  bool ignore_merges_ = false;
  std::optional<TokenId> mask_token_;
};

}  // namespace sdar
