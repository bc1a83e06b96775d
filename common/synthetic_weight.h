// SPDX-License-Identifier: Apache-2.0
// Made-up weights: a pure function of (key of the tensor, index of the element), the same bits on
// every machine and device. Integer arithmetic and one multiplication in float32; constexpr, so
// that device code can call it too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/dtype.h"

namespace sdar {

// Elements of a made-up tensor from `first` on; no memory holds them.
struct SyntheticElements {
  uint64_t key = 0;
  uint64_t first = 0;
};

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
constexpr uint64_t SyntheticMix64(uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The 32-bit finaliser of MurmurHash3; in 32 bits so that compilers make vectors of it.
constexpr uint32_t SyntheticMix32(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85EBCA6Bu;
  x ^= x >> 13;
  x *= 0xC2B2AE35u;
  return x ^ (x >> 16);
}

// What weights with the same upper half of their index share.
constexpr uint64_t SyntheticPageKey(uint64_t key, uint64_t index) {
  return SyntheticMix64(key + (index >> 32));
}

// The sum of a hash's four bytes, centred: nearly normal (Irwin-Hall). `index`: the lower half.
constexpr float SyntheticWeightInPage(uint64_t page_key, uint32_t index) {
  constexpr float kMean = 4 * 255 / 2.0f;
  constexpr float kDeviation = 147.8f;  // sqrt(4 * (256^2 - 1) / 12)
  constexpr float kScale = 0.02f / kDeviation;
  const auto low = static_cast<uint32_t>(page_key);
  const auto high = static_cast<uint32_t>(page_key >> 32);
  const uint32_t hash = SyntheticMix32(SyntheticMix32(index ^ low) + high);
  const uint32_t pairs = (hash & 0x00FF00FFu) + ((hash >> 8) & 0x00FF00FFu);
  const uint32_t sum = (pairs & 0xFFFFu) + (pairs >> 16);
  return (static_cast<float>(static_cast<int32_t>(sum)) - kMean) * kScale;
}

// Weight `index` of the tensor `key`: nearly normal with mean 0 and deviation 0.02. Tensors hold it
// rounded to bfloat16.
constexpr float SyntheticWeight(uint64_t key, uint64_t index) {
  return SyntheticWeightInPage(SyntheticPageKey(key, index), static_cast<uint32_t>(index));
}

// Writes the `count` weights from elements.first on, rounded to bfloat16. Any thread.
void FillSynthetic(const SyntheticElements& elements, size_t count, BFloat16* out);

}  // namespace sdar
