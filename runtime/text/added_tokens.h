// SPDX-License-Identifier: Apache-2.0
// Tokens that are found in text as a whole, before any pre-tokenization: control tokens and the
// like.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"

namespace sdar {

// One added token with the flags of Hugging Face tokenizers.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // looked for in the normalised text instead of the raw text
  bool special = false;      // left out of text decoded with skip_special
};

// A stretch of text that is one added token, or lies between them.
struct TextSegment {
  absl::string_view text;
  TokenId token = -1;  // -1: ordinary text
};

// Finds added tokens leftmost first, the longest of those that begin alike. Thread-safe.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  // Requires: every content is non-empty; of equal ones the last counts.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  // Whether a token takes the white space next to it, however much that is.
  bool strips() const;

  // Takes one segment; an error ends the splitting and is its result.
  using SegmentSink = absl::FunctionRef<absl::Status(const TextSegment&)>;

  // Gives the segments of `text` (valid UTF-8, borrowed) to `sink`, in order; together they are the
  // text. Looks at every byte at most as often as the longest token has bytes.
  absl::Status Split(absl::string_view text, SegmentSink sink) const;

 private:
  // The longest token that begins at `position`, or nullptr.
  const AddedToken* LongestAt(absl::string_view text, size_t position) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: the child of (node, byte). Node 0 is the root.
  absl::flat_hash_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> token_of_node_;  // index into tokens_; -1: none ends here
  std::array<bool, 256> begins_token_{};
};

}  // namespace sdar
