// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/rope_scaling.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/model_config.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kRefusedRope = absl::StatusCode::kInvalidArgument;

// The small config, which has rope_theta 1e4 and 128 positions, with `changes`; null removes.
absl::StatusOr<ModelConfig> ParseWith(const std::string& changes) {
  Json json = ToJson(SmallDenseConfig());
  json.merge_patch(Json::parse(changes));
  return ParseModelConfig(DumpJson(json), "config.json");
}

class RopeSpellingTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RopeSpellingTest, IsYarn) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config, ParseWith(GetParam()));
  EXPECT_EQ(config.rope_theta, 5e5);
  EXPECT_EQ(config.rope_scaling.type, RopeType::kYarn);
  EXPECT_EQ(config.rope_scaling.factor, 4.0);
  EXPECT_EQ(config.rope_scaling.original_max_position_embeddings, 32);
  EXPECT_EQ(config.LongestSequence(), 128);
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, RopeSpellingTest,
    ::testing::Values(
        R"({"rope_theta": 500000, "rope_scaling": {"type": "yarn", "factor": 4,
            "original_max_position_embeddings": 32}})",
        R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32, "beta_fast": null}})",
        R"({"rope_theta": null, "rope_parameters": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32, "rope_theta": 500000.0}})",
        R"({"rope_theta": 500000, "rope_parameters": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32}})",
        R"({"rope_theta": 500000, "rope_parameters": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32, "rope_theta": 500000.0}})",
        R"({"rope_theta": null, "rope_parameters": {"rope_type": "yarn", "factor": null,
            "original_max_position_embeddings": 32, "rope_theta": 500000.0}})",
        R"({"rope_theta": null, "layer_types": ["full_attention", "full_attention"],
            "rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32, "rope_theta": 500000.0}}})"));

TEST(RopeScalingTest, TheThetaOfTransformersFiveIsRead) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config, ParseWith(R"({"rope_theta": null,
                    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}})"));
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.rope_scaling.type, RopeType::kDefault);
  EXPECT_EQ(config.LongestSequence(), 128);
}

TEST(RopeScalingTest, LinearStretchesWhatTheModelWasMadeFor) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                            ParseWith(R"({"rope_scaling": {"type": "linear", "factor": 2.5}})"));
  EXPECT_EQ(config.rope_scaling.type, RopeType::kLinear);
  EXPECT_EQ(config.LongestSequence(), 320);
}

TEST(RopeScalingTest, YarnStretchesTheOriginalLength) {
  SDAR_ASSERT_OK_AND_ASSIGN(ModelConfig config,
                            ParseWith(R"({"rope_scaling": {"type": "yarn", "factor": 4,
                                          "original_max_position_embeddings": 100}})"));
  EXPECT_EQ(config.LongestSequence(), 400);
  SDAR_ASSERT_OK_AND_ASSIGN(config, ParseWith(R"({"rope_scaling": {"type": "yarn",
                                                  "factor": 4}})"));
  EXPECT_EQ(config.LongestSequence(), 512);
}

TEST(RopeScalingTest, ReadsBackWhatToJsonWrites) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const ModelConfig config,
      ParseWith(R"({"rope_scaling": {"type": "yarn", "factor": 3, "beta_fast": 16, "beta_slow": 2,
                    "truncate": false, "mscale": 1.0, "mscale_all_dim": 0.5,
                    "attention_factor": 1.25, "original_max_position_embeddings": 64}})"));
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig read,
                            ParseModelConfig(DumpJson(ToJson(config)), "config.json"));
  EXPECT_EQ(DumpJson(ToJson(read)), DumpJson(ToJson(config)));
  EXPECT_EQ(read.rope_scaling.beta_fast, 16.0);
  EXPECT_FALSE(read.rope_scaling.truncate);
  EXPECT_EQ(read.rope_scaling.attention_factor, 1.25);
}

struct Refused {
  const char* changes;
  const char* named;
};

class RefusedRopeTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedRopeTest, IsNamed) {
  EXPECT_THAT(ParseWith(GetParam().changes),
              StatusIs(kRefusedRope, AllOf(HasSubstr("config.json"), HasSubstr(GetParam().named))));
}

INSTANTIATE_TEST_SUITE_P(
    Values, RefusedRopeTest,
    ::testing::Values(
        Refused{R"({"rope_scaling": {"type": "dynamic", "factor": 2}})", "dynamic"},
        Refused{R"({"rope_scaling": {"rope_type": "longrope", "factor": 2}})", "longrope"},
        Refused{R"({"rope_parameters": {"rope_type": "llama3", "factor": 2}})", "llama3"},
        Refused{R"({"rope_scaling": 4})", "rope_scaling"},
        Refused{R"({"rope_scaling": {"type": 4}})", "type"},
        Refused{R"({"rope_scaling": {"type": "linear"}})", "factor"},
        Refused{R"({"rope_scaling": {"type": "linear", "factor": 0.5}})", "factor"},
        Refused{R"({"rope_scaling": {"type": "linear", "factor": 2, "beta_fast": 3}})",
                "beta_fast"},
        Refused{R"({"rope_scaling": {"type": "yarn", "factor": 4, "long_factor": [1]}})",
                "long_factor"},
        Refused{R"({"rope_scaling": {"type": "yarn", "factor": "4"}})", "factor"},
        Refused{R"({"rope_scaling": {"type": "yarn", "factor": 4, "truncate": 1}})", "truncate"},
        Refused{R"({"rope_scaling": {"type": "yarn", "factor": 4, "attention_factor": -1}})",
                "attention_factor"},
        Refused{R"({"rope_parameters": {"rope_type": "default", "factor": 4}})", "factor"},
        Refused{R"({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}})",
                "partial_rotary_factor"},
        Refused{R"({"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}})",
                "rope_theta"},
        Refused{R"({"rope_scaling": {"type": "linear", "factor": 2},
                    "rope_parameters": {"rope_type": "linear", "factor": 3}})",
                "rope_parameters"},
        Refused{R"({"rope_theta": null})", "rope_theta"}));

}  // namespace
}  // namespace sdar
