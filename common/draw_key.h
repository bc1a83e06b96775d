// SPDX-License-Identifier: Apache-2.0
// Counter-based random draws: a draw is a pure function of (seed, position, step, token id), so it
// depends neither on batch neighbours nor on the number of ranks. Philox4x32-10 (Salmon et al., SC
// 2011) from Random123.
#pragma once

#include <bit>
#include <cstdint>

#include "common/ids.h"

namespace sdar {

// What one position's draws at one step are keyed by.
struct DrawKey {
  uint64_t seed = 0;
  uint32_t position = 0;  // absolute position in the sequence
  uint32_t step = 0;      // denoising step within the block
};

// Four uniform 32-bit words for the token ids 4 * group .. 4 * group + 3.
struct DrawWords {
  uint32_t words[4];
};
DrawWords Draw(const DrawKey& key, uint32_t group);

// Maps a uniform word to a standard Gumbel variate, always finite: -ln(-ln(1 - v)), v = (word +
// 1/2) / 2^32. The tail that wins a maximum (v near 0) is resolved to 2^-33.
float GumbelFromWord(uint32_t word);

// No less than GumbelFromWord(word), and far cheaper: -ln(-ln(1 - v)) <= -ln(v), and the leading
// zeros of a word bound its v from below.
inline float GumbelBound(uint32_t word) {
  constexpr float kLn2 = 0.693147182f;
  constexpr float kRounding = 1e-3f;  // of both functions, amply
  return static_cast<float>(std::countl_zero(word) + 1) * kLn2 + kRounding;
}

// The Gumbel variate of one token id.
float Gumbel(const DrawKey& key, TokenId id);
// Its word.
uint32_t DrawWord(const DrawKey& key, TokenId id);

// The seed of sample `index` of a request with `seed`; sample 0 keeps the request's own.
uint64_t DeriveSeed(uint64_t seed, uint32_t index);

}  // namespace sdar
