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

// Counts in 32 bits, as the vectors do. Made part of its callers, so that each has it in its own
// instructions.
[[gnu::always_inline]] inline void FillLoop(uint64_t page_key, uint32_t begin, uint32_t count,
                                            BFloat16* out) {
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = RoundFinite(SyntheticWeightInPage(page_key, begin + i));
  }
}

void FillPage(uint64_t page_key, uint32_t begin, uint32_t count, BFloat16* out) {
  FillLoop(page_key, begin, count, out);
}

#if defined(__x86_64__)
// SSE2 has no product of 32-bit integers.
[[gnu::target("avx2")]] void FillPageAvx2(uint64_t page_key, uint32_t begin, uint32_t count,
                                          BFloat16* out) {
  FillLoop(page_key, begin, count, out);
}
#endif

using FillPageFunction = void(uint64_t, uint32_t, uint32_t, BFloat16*);

FillPageFunction* BestFillPage() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return FillPageAvx2;
#endif
  return FillPage;
}

}  // namespace

void FillSynthetic(const SyntheticElements& elements, size_t count, BFloat16* out) {
  constexpr uint64_t kPage = uint64_t{1} << 32;
  constexpr uint64_t kMostAtOnce = kPage / 2;
  static FillPageFunction* const fill_page = BestFillPage();
  uint64_t index = elements.first;
  while (count > 0) {
    const uint64_t left_in_page = kPage - index % kPage;
    const uint64_t now = std::min<uint64_t>({left_in_page, kMostAtOnce, count});
    fill_page(SyntheticPageKey(elements.key, index), static_cast<uint32_t>(index),
              static_cast<uint32_t>(now), out);
    index += now;
    out += now;
    count -= static_cast<size_t>(now);
  }
}

}  // namespace sdar
