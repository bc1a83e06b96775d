// SPDX-License-Identifier: Apache-2.0
// Lengths of made-up requests: how they are written, and what is drawn.
#include "bench/load/length_distribution.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr int kDraws = 100000;

TEST(LengthDistributionTest, DrawsOnlyTheFixedLength) {
  auto fixed = LengthDistribution::Parse("output-tokens", "fixed:7");
  ASSERT_TRUE(fixed.ok());
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fixed->Draw(random), 7);
  EXPECT_EQ(fixed->max(), 7);
}

TEST(LengthDistributionTest, UniformDrawsBothEndsAndAllBetweenEquallyOften) {
  auto uniform = LengthDistribution::Parse("output-tokens", "uniform:3:6");
  ASSERT_TRUE(uniform.ok());
  std::mt19937_64 random(2);
  int counts[7] = {};
  for (int i = 0; i < kDraws; ++i) {
    const int64_t length = uniform->Draw(random);
    ASSERT_GE(length, 3);
    ASSERT_LE(length, 6);
    ++counts[length];
  }
  for (int length = 3; length <= 6; ++length) EXPECT_NEAR(counts[length], kDraws / 4, 1000);
  EXPECT_EQ(uniform->max(), 6);
}

TEST(LengthDistributionTest, ExponentialHasItsMeanAndItsCut) {
  auto exponential = LengthDistribution::Parse("output-tokens", "exponential:50:5000");
  ASSERT_TRUE(exponential.ok());
  std::mt19937_64 random(3);
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const int64_t length = exponential->Draw(random);
    ASSERT_GE(length, 1);
    ASSERT_LE(length, 5000);
    sum += static_cast<double>(length);
  }
  EXPECT_NEAR(sum / kDraws, 50, 1);
  auto cut = LengthDistribution::Parse("output-tokens", "exponential:50:60");
  ASSERT_TRUE(cut.ok());
  for (int i = 0; i < 1000; ++i) EXPECT_LE(cut->Draw(random), 60);
}

TEST(LengthDistributionTest, NamesTheFlagOfWhatItCannotRead) {
  for (const char* bad :
       {"", "7", "fixed", "fixed:", "fixed:0", "fixed:1:2", "fixed:x", "uniform:5", "uniform:9:3",
        "exponential:50", "exponential:50:10", "normal:1:2", "fixed:99999999"}) {
    const auto parsed = LengthDistribution::Parse("prompt-tokens", bad);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("--prompt-tokens")) << bad;
  }
}

}  // namespace
}  // namespace sdar
