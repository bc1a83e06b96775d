// SPDX-License-Identifier: Apache-2.0
// The tokens of a vocabulary as a grammar sees them: bytes, in prefix trees.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/grammar/tokens/token_bits.h"
#include "runtime/grammar/tokens/token_trie.h"

namespace sdar::grammar {

// Immutable; any thread.
class Vocabulary {
 public:
  // Tokens of this many characters or more are kept together.
  static constexpr int kMaxCounted = 24;

  // tokens[id]: its bytes; empty where a grammar's text never has it: special ids, and those that
  // are not there. Bytes beyond 65,535 count as empty.
  explicit Vocabulary(std::vector<std::string> tokens);

  int size() const { return static_cast<int>(tokens_.size()); }
  size_t num_words() const { return (tokens_.size() + 63) / 64; }
  absl::string_view Bytes(TokenId id) const { return tokens_[static_cast<size_t>(id)]; }

  // Every token that has bytes. Of several with the same bytes only the first: see AddTwins.
  const TokenTrie& all() const { return all_; }
  // Sets the bits of ids whose bytes are those of one that is set.
  void AddTwins(TokenBits& bits) const;

  // Plain tokens are characters that need no escape in a JSON string; the last one may be cut off,
  // and counts. Those of exactly `count` characters, 1 .. kMaxCounted, the last of which has longer
  // ones too.
  const TokenTrie& plain(int count) const { return plain_[static_cast<size_t>(count)]; }
  // Tokens that end such a string or have an escape, after plain characters or none. All others
  // cannot stand in a string.
  const TokenTrie& breaking() const { return plain_[0]; }
  // Bits of the plain tokens of at most `count` characters; beyond kMaxCounted only if `all` are
  // meant.
  const TokenBits& PlainUpTo(int count, bool all) const;

  // Whether every byte is a token, so that any text is a sequence of tokens.
  bool has_all_bytes() const { return has_all_bytes_; }
  // Tokens of nothing but spaces, tabs and line feeds, as bits.
  const TokenBits& space() const { return space_; }

 private:
  struct Twin {
    TokenId first;
    TokenId second;
  };

  std::vector<std::string> tokens_;
  TokenTrie all_;
  std::vector<TokenTrie> plain_;        // by the number of characters; [0]: breaking
  std::vector<TokenBits> plain_up_to_;  // bits; the last has all
  TokenBits space_;
  std::vector<Twin> twins_;
  bool has_all_bytes_ = false;
};

}  // namespace sdar::grammar
