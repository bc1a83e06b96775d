// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/routing.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/synthetic.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

ModelConfig Moe() { return SyntheticConfig("30b-a3b").value(); }

TEST(RoutingTest, AnUnknownNameListsTheModes) {
  EXPECT_THAT(ParseRouting("cold"), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("uniform, skewed or hot, got 'cold'")));
}

TEST(RoutingTest, OneRowMeetsItsOwnExpertsHoweverItIsRouted) {
  for (Routing routing : {Routing::kUniform, Routing::kSkewed, Routing::kHot}) {
    EXPECT_NEAR(ExpectedExperts(Moe(), routing, 1), 8, 1e-9);
  }
}

TEST(RoutingTest, HotRowsMeetTheSameExperts) {
  EXPECT_EQ(ExpectedExperts(Moe(), Routing::kHot, 1000), 8);
}

TEST(RoutingTest, SkewedRowsMeetFewerExpertsThanUniformOnes) {
  const double uniform = ExpectedExperts(Moe(), Routing::kUniform, 32);
  const double skewed = ExpectedExperts(Moe(), Routing::kSkewed, 32);
  EXPECT_NEAR(uniform, 128 * (1 - std::pow(120.0 / 128, 32)), 1e-9);
  EXPECT_LT(skewed, 0.6 * uniform);
  EXPECT_GT(skewed, 3 * 8);
}

TEST(RoutingTest, ManyUniformRowsMeetAllExperts) {
  EXPECT_NEAR(ExpectedExperts(Moe(), Routing::kUniform, 1000), 128, 1e-6);
}

TEST(RoutingTest, ADenseModelHasNone) {
  EXPECT_EQ(ExpectedExperts(SyntheticConfig("1.7b").value(), Routing::kUniform, 4), 0);
}

}  // namespace
}  // namespace sdar
