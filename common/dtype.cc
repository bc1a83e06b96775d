// SPDX-License-Identifier: Apache-2.0
#include "common/dtype.h"

#include <cmath>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sdar {

absl::string_view Name(DType dtype) {
  switch (dtype) {
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat16:
      return "float16";
    case DType::kFloat32:
      return "float32";
  }
  return "unknown";
}

absl::StatusOr<DType> ParseDType(absl::string_view name) {
  for (DType dtype : {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
    if (name == Name(dtype)) return dtype;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("dtype '", name, "': expected bfloat16, float16 or float32"));
}

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (mantissa << 13));
}

void ConvertToFloat(DType dtype, const void* source, size_t count, float* out) {
  if (count == 0) return;  // memcpy takes no null pointers, not even for nothing
  if (dtype == DType::kFloat32) {
    std::memcpy(out, source, count * sizeof(float));
    return;
  }
  const auto* bytes = static_cast<const unsigned char*>(source);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    out[i] = dtype == DType::kBFloat16 ? ToFloat(BFloat16{bits}) : HalfToFloat(bits);
  }
}

void ConvertToBFloat16(const float* source, size_t count, BFloat16* out) {
  for (size_t i = 0; i < count; ++i) out[i] = ToBFloat16(source[i]);
}

}  // namespace sdar
