// SPDX-License-Identifier: Apache-2.0
// Sets of token ids as bits: id t is bit t % 64 of word t / 64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "common/ids.h"

namespace sdar::grammar {

using TokenBits = std::vector<uint64_t>;

// Requires of all: 0 <= id, and a word for it.
inline bool HasBit(absl::Span<const uint64_t> bits, TokenId id) {
  return (bits[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
}
inline void SetBit(TokenBits& bits, TokenId id) {
  bits[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
}
inline void ClearBit(TokenBits& bits, TokenId id) {
  bits[static_cast<size_t>(id) / 64] &= ~(uint64_t{1} << (static_cast<size_t>(id) % 64));
}
// Requires: as many words in both.
inline void AddBits(const TokenBits& from, TokenBits& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] |= from[i];
}

}  // namespace sdar::grammar
