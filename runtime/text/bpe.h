// SPDX-License-Identifier: Apache-2.0
// Byte-pair merging of one word.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"

namespace sdar {

// One merge rule: the neighbours `left`, `right` become `merged`.
struct BpeMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId merged = 0;
};

// Merges the neighbours of the earliest rule first, the leftmost of them first, until no rule
// applies. Thread-safe.
class BpeMerger {
 public:
  // A token of the word under way, in a list linked by index.
  struct Symbol {
    TokenId id = 0;  // -1: merged away
    uint32_t previous = 0;
    uint32_t next = 0;
  };
  // Memory that the words of one text share: up to 44 bytes for each byte of the longest. One
  // thread.
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<uint64_t> pending;  // a heap of rule and position
  };

  BpeMerger() = default;
  // byte_tokens: the token of every single byte; merges: in order of priority. A pair that comes
  // twice has its last place.
  BpeMerger(const std::array<TokenId, 256>& byte_tokens, const std::vector<BpeMerge>& merges);

  // Appends the tokens of `word`. Time O(n log n) in its bytes, whatever they are.
  // Requires: fewer than 2^32 - 1 bytes.
  void Encode(absl::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  // Notes the rule that merges the symbol at `left` with the next one, if there is one.
  void NotePair(uint32_t left, Scratch& scratch) const;

  std::array<TokenId, 256> byte_tokens_{};
  std::vector<BpeMerge> merges_;                   // by rank
  absl::flat_hash_map<uint64_t, uint32_t> ranks_;  // of pairs
};

}  // namespace sdar
