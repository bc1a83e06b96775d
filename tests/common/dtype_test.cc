// SPDX-License-Identifier: Apache-2.0
#include "common/dtype.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// The value of an IEEE half by its definition.
double HalfByDefinition(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

uint16_t Rounded(float value) { return ToBFloat16(value).bits; }
float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

TEST(DTypeTest, EveryHalfWidensToItsExactValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double want = HalfByDefinition(half);
    const float got = HalfToFloat(half);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
    } else {
      EXPECT_EQ(double{got}, want) << bits;
      EXPECT_EQ(std::signbit(got), std::signbit(want)) << bits;
    }
  }
}

TEST(DTypeTest, EveryBFloat16SurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const BFloat16 value{static_cast<uint16_t>(bits)};
    const float wide = ToFloat(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(wide)))) << bits;
    } else {
      EXPECT_EQ(Rounded(wide), bits);
    }
  }
}

TEST(DTypeTest, RoundsToTheNearestBFloat16) {
  EXPECT_EQ(Rounded(FromBits(0x3F807FFF)), 0x3F80);
  EXPECT_EQ(Rounded(FromBits(0x3F808001)), 0x3F81);
  EXPECT_EQ(Rounded(FromBits(0xBF807FFF)), 0xBF80);
  EXPECT_EQ(Rounded(FromBits(0xBF808001)), 0xBF81);
}

TEST(DTypeTest, RoundsTiesToTheEvenBFloat16) {
  EXPECT_EQ(Rounded(FromBits(0x3F808000)), 0x3F80);
  EXPECT_EQ(Rounded(FromBits(0x3F818000)), 0x3F82);
  EXPECT_EQ(Rounded(FromBits(0x00008000)), 0x0000);
  EXPECT_EQ(Rounded(FromBits(0x00018000)), 0x0002);
}

TEST(DTypeTest, RoundsBeyondTheLargestBFloat16ToInfinity) {
  EXPECT_EQ(Rounded(FromBits(0x7F7F7FFF)), 0x7F7F);
  EXPECT_EQ(Rounded(FromBits(0x7F7F8000)), 0x7F80);
  EXPECT_EQ(Rounded(-std::numeric_limits<float>::infinity()), 0xFF80);
}

TEST(DTypeTest, NanStaysNanWhateverItsPayload) {
  for (uint32_t bits : {0x7F800001u, 0x7FFFFFFFu, 0xFF800001u, 0x7F80FFFFu, 0x7FC00000u}) {
    EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(FromBits(bits))))) << bits;
  }
}

TEST(DTypeTest, ConvertsFromUnalignedMemory) {
  std::vector<unsigned char> bytes = {0, 0x80, 0x3F, 0x00, 0x40};  // 1, 2 in bfloat16 at byte 1
  float out[2];
  ConvertToFloat(DType::kBFloat16, bytes.data() + 1, 2, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 2.0f);
}

TEST(DTypeTest, ConvertsWholeArraysAsSingleValues) {
  std::vector<float> source;
  for (int i = 0; i < 1000; ++i) source.push_back(std::ldexp(1.0f + static_cast<float>(i), i % 60));
  std::vector<BFloat16> out(source.size());
  ConvertToBFloat16(source.data(), source.size(), out.data());
  for (size_t i = 0; i < source.size(); ++i) EXPECT_EQ(out[i].bits, Rounded(source[i]));
}

TEST(DTypeTest, NamesRoundTrip) {
  for (DType dtype : {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const DType parsed, ParseDType(Name(dtype)));
    EXPECT_EQ(parsed, dtype);
  }
}

TEST(DTypeTest, AnUnknownNameIsRefusedWithTheKnownOnes) {
  EXPECT_THAT(
      ParseDType("fp8"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               ::testing::AllOf(HasSubstr("'fp8'"), HasSubstr("bfloat16"), HasSubstr("float32"))));
}

}  // namespace
}  // namespace sdar
