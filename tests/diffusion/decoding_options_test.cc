// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/decoding_options.h"

#include <limits>

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(RemaskingOptionsTest, DefaultsAreValid) { EXPECT_THAT(RemaskingOptions().Validate(), IsOk()); }

TEST(RemaskingOptionsTest, NamesRoundTrip) {
  for (const char* name :
       {"sequential", "low_confidence_static", "low_confidence_dynamic", "entropy_bounded"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const RemaskingStrategy strategy, ParseRemaskingStrategy(name));
    EXPECT_EQ(Name(strategy), name);
  }
}

TEST(RemaskingOptionsTest, AnUnknownStrategyIsRefusedWithTheKnownOnes) {
  EXPECT_THAT(ParseRemaskingStrategy("random"),
              StatusIs(kInvalid, AllOf(HasSubstr("'random'"), HasSubstr("sequential"))));
}

TEST(RemaskingOptionsTest, EveryFieldOutOfRangeIsNamed) {
  const auto refused = [](const char* field, const auto& change) {
    RemaskingOptions options;
    change(options);
    EXPECT_THAT(options.Validate(), StatusIs(kInvalid, HasSubstr(field)));
  };
  refused("block_length", [](auto& o) { o.block_length = 0; });
  refused("denoising_steps", [](auto& o) { o.denoising_steps = 0; });
  refused("denoising_steps", [](auto& o) { o.denoising_steps = o.block_length + 1; });
  refused("confidence_threshold", [](auto& o) { o.confidence_threshold = 1.5; });
  refused("confidence_threshold", [](auto& o) { o.confidence_threshold = kNan; });
  refused("entropy_bound", [](auto& o) { o.entropy_bound = -1; });
}

TEST(SamplingOptionsTest, DefaultsAreGreedyAndValid) {
  EXPECT_TRUE(SamplingOptions().greedy());
  EXPECT_FALSE(SamplingOptions().cuts());
  EXPECT_FALSE(SamplingOptions().penalizes());
  EXPECT_THAT(SamplingOptions().Validate(10), IsOk());
}

TEST(SamplingOptionsTest, EveryFieldOutOfRangeIsNamed) {
  const auto refused = [](const char* field, const auto& change) {
    SamplingOptions options;
    change(options);
    EXPECT_THAT(options.Validate(10), StatusIs(kInvalid, HasSubstr(field)));
  };
  refused("temperature", [](auto& o) { o.temperature = -1; });
  refused("temperature", [](auto& o) { o.temperature = 1e-9; });
  refused("temperature", [](auto& o) { o.temperature = kNan; });
  refused("top_k", [](auto& o) { o.top_k = -1; });
  refused("top_p", [](auto& o) { o.top_p = 1.01; });
  refused("top_p", [](auto& o) { o.top_p = kNan; });
  refused("min_p", [](auto& o) { o.min_p = -0.1; });
  refused("repetition_penalty", [](auto& o) { o.repetition_penalty = 0; });
  refused("presence_penalty", [](auto& o) { o.presence_penalty = 3; });
  refused("frequency_penalty", [](auto& o) { o.frequency_penalty = -3; });
  refused("logit_bias", [](auto& o) { o.logit_bias = {{10, 1.0f}}; });
  refused("logit_bias", [](auto& o) { o.logit_bias = {{-1, 1.0f}}; });
  refused("logit_bias", [](auto& o) { o.logit_bias = {{1, 1000.0f}}; });
  refused("appears twice", [](auto& o) { o.logit_bias = {{1, 1.0f}, {1, 2.0f}}; });
}

}  // namespace
}  // namespace sdar
