// SPDX-License-Identifier: Apache-2.0
#include "common/draw_key.h"

#include <cmath>

#include "Random123/philox.h"

namespace sdar {
namespace {

using Philox = r123::Philox4x32;

// Words of a counter block that token draws never reach: they keep the fourth word at 0.
constexpr uint32_t kSeedDomain = 1;

Philox::key_type KeyOf(uint64_t seed) {
  return {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
}

}  // namespace

DrawWords Draw(const DrawKey& key, uint32_t group) {
  const Philox::ctr_type r = Philox()({{group, key.position, key.step, 0}}, KeyOf(key.seed));
  return {{r[0], r[1], r[2], r[3]}};
}

float GumbelFromWord(uint32_t word) {
  constexpr float kBelowOne = 1.0f - 0x1p-24f;
  const float v = (static_cast<float>(word) + 0.5f) * 0x1p-32f;
  return -std::log(-std::log1p(-(v < kBelowOne ? v : kBelowOne)));
}

uint32_t DrawWord(const DrawKey& key, TokenId id) {
  const auto index = static_cast<uint32_t>(id);
  return Draw(key, index / 4).words[index % 4];
}

float Gumbel(const DrawKey& key, TokenId id) { return GumbelFromWord(DrawWord(key, id)); }

uint64_t DeriveSeed(uint64_t seed, uint32_t index) {
  if (index == 0) return seed;
  const Philox::ctr_type r = Philox()({{index, 0, 0, kSeedDomain}}, KeyOf(seed));
  return uint64_t{r[1]} << 32 | r[0];
}

}  // namespace sdar
