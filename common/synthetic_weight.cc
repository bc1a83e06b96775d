// SPDX-License-Identifier: Apache-2.0
#include "common/synthetic_weight.h"

#include <algorithm>
#include <bit>

namespace sdar {
namespace {

// ToBFloat16 for finite values, without its branch.
BFloat16 RoundFinite(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

// Counts in 32 bits, as the vectors do.
void FillPage(uint64_t page_key, uint32_t begin, uint32_t count, BFloat16* out) {
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = RoundFinite(SyntheticWeightInPage(page_key, begin + i));
  }
}

}  // namespace

void FillSynthetic(const SyntheticElements& elements, size_t count, BFloat16* out) {
  constexpr uint64_t kPage = uint64_t{1} << 32;
  constexpr uint64_t kMostAtOnce = kPage / 2;
  uint64_t index = elements.first;
  while (count > 0) {
    const uint64_t left_in_page = kPage - index % kPage;
    const uint64_t now = std::min<uint64_t>({left_in_page, kMostAtOnce, count});
    FillPage(SyntheticPageKey(elements.key, index), static_cast<uint32_t>(index),
             static_cast<uint32_t>(now), out);
    index += now;
    out += now;
    count -= static_cast<size_t>(now);
  }
}

}  // namespace sdar
