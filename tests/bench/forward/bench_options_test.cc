// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/bench_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(BenchOptionsTest, TheDefaultsAreValid) { EXPECT_TRUE(BenchOptions().Validate().ok()); }

TEST(BenchOptionsTest, Int8IsRefusedOnAGpu) {
  BenchOptions options;
  options.device = "cuda";
  options.weights = "int8";
  EXPECT_THAT(options.Validate(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("only --device=cpu has it")));
}

TEST(BenchOptionsTest, AnUnknownDeviceIsNamed) {
  BenchOptions options;
  options.device = "tpu";
  EXPECT_THAT(options.Validate(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--device: expected cpu")));
}

TEST(BenchOptionsTest, AnUnknownRoutingNamesItsFlag) {
  BenchOptions options;
  options.routing = "cold";
  EXPECT_THAT(options.Validate(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--routing: expected")));
}

TEST(BenchOptionsTest, StepsMayBeFractions) {
  SDAR_ASSERT_OK_AND_ASSIGN(const std::vector<double> steps, ParseSteps("1,1.5,4", 4));
  EXPECT_THAT(steps, ElementsAre(1, 1.5, 4));
}

TEST(BenchOptionsTest, WithoutStepsThereAreAsManyAsPositions) {
  SDAR_ASSERT_OK_AND_ASSIGN(const std::vector<double> steps, ParseSteps("", 8));
  EXPECT_THAT(steps, ElementsAre(8));
}

TEST(BenchOptionsTest, StepsOutsideABlockAreRefused) {
  for (const char* list : {"0.5", "4.5", "nan", "1,", "two"}) {
    EXPECT_THAT(ParseSteps(list, 4), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("--steps: expected numbers from 1")))
        << list;
  }
}

}  // namespace
}  // namespace sdar
