// SPDX-License-Identifier: Apache-2.0
// Byte-pair merging of one word.
#pragma once

#include <array>
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
  BpeMerger() = default;
  // byte_tokens: the token of every single byte; merges: in order of priority. A pair that comes
  // twice has its last place.
  BpeMerger(const std::array<TokenId, 256>& byte_tokens, const std::vector<BpeMerge>& merges);

  // Appends the tokens of `word`. Time O(n log n) in its bytes, whatever they are.
  void Encode(absl::string_view word, std::vector<TokenId>& out) const;

 private:
  struct Rule {
    uint32_t rank = 0;
    TokenId merged = 0;
  };
  const Rule* FindRule(TokenId left, TokenId right) const;

  std::array<TokenId, 256> byte_tokens_{};
  absl::flat_hash_map<uint64_t, Rule> rules_;
};

}  // namespace sdar
