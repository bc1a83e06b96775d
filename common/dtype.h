// SPDX-License-Identifier: Apache-2.0
// Element types of tensors and the exact conversions between them and float32.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

enum class DType { kBFloat16, kFloat16, kFloat32 };

// Bytes of one element.
constexpr size_t SizeOf(DType dtype) { return dtype == DType::kFloat32 ? 4 : 2; }

// "bfloat16", "float16" or "float32".
absl::string_view Name(DType dtype);

// Reads a name as Name writes it; InvalidArgument names the ones that exist.
absl::StatusOr<DType> ParseDType(absl::string_view name);

// A bfloat16 value: the upper half of a float32.
struct BFloat16 {
  uint16_t bits = 0;
};

// Widens exactly.
inline float ToFloat(BFloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// Rounds to nearest, ties to even; NaN stays NaN.
inline BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

// Widens an IEEE half (its bits) exactly, subnormals included.
float HalfToFloat(uint16_t bits);

// Reads `count` elements of type `dtype` at `source` (any alignment) as float32.
void ConvertToFloat(DType dtype, const void* source, size_t count, float* out);

// Rounds `count` float32 values to bfloat16, nearest even.
void ConvertToBFloat16(const float* source, size_t count, BFloat16* out);

}  // namespace sdar
