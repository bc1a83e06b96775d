// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/generation_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GenerationConfigTest, ReadsEveryField) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const GenerationDefaults defaults,
      ParseGenerationConfig(R"({"eos_token_id": [3, 4], "do_sample": true, "temperature": 0.6,
                               "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.1})",
                            "generation_config.json", SmallDenseConfig()));
  EXPECT_THAT(defaults.eos_token_ids, ElementsAre(3, 4));
  EXPECT_TRUE(defaults.do_sample);
  EXPECT_EQ(defaults.temperature, 0.6);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.top_p, 0.95);
  EXPECT_EQ(defaults.repetition_penalty, 1.1);
}

TEST(GenerationConfigTest, ListsWhatHasNoEffect) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const GenerationDefaults defaults,
      ParseGenerationConfig(R"({"pad_token_id": 1, "transformers_version": "5.0", "min_p": 0.1,
                               "no_repeat_ngram_size": 3, "num_beams": null})",
                            "generation_config.json", SmallDenseConfig()));
  EXPECT_EQ(defaults.min_p, 0.1);
  EXPECT_THAT(defaults.ignored, ElementsAre(HasSubstr("'no_repeat_ngram_size'")));
}

TEST(GenerationConfigTest, TakesEndTokensFromTheModelConfigWithoutTheFile) {
  const TempFolder folder;
  SDAR_ASSERT_OK_AND_ASSIGN(const GenerationDefaults defaults,
                            LoadGenerationConfig(folder.path(), SmallDenseConfig()));
  EXPECT_THAT(defaults.eos_token_ids, ElementsAre(38));
  EXPECT_FALSE(defaults.do_sample);
}

TEST(GenerationConfigTest, TakesEndTokensFromTheModelConfigWhereTheFileHasNone) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const GenerationDefaults defaults,
      ParseGenerationConfig("{}", "generation_config.json", SmallDenseConfig()));
  EXPECT_THAT(defaults.eos_token_ids, ElementsAre(38));
}

TEST(GenerationConfigTest, NamesAFieldOfAnotherType) {
  EXPECT_THAT(
      ParseGenerationConfig(R"({"top_p": "0.9"})", "generation_config.json", SmallDenseConfig()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("generation_config.json"), HasSubstr("top_p"))));
}

TEST(GenerationConfigTest, RefusesAnEndTokenOutsideTheVocabulary) {
  EXPECT_THAT(ParseGenerationConfig(R"({"eos_token_id": 40})", "generation_config.json",
                                    SmallDenseConfig()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("eos_token_id")));
}

TEST(BlockLengthTest, ARequestComesFirstThenTheFlagThenTheConfig) {
  const ModelConfig config = SmallDenseConfig();
  EXPECT_EQ(ResolveBlockLength(16, 8, config, "m-b32").value, 16);
  EXPECT_EQ(ResolveBlockLength({}, 8, config, "m-b32").value, 8);
  const BlockLength from_config = ResolveBlockLength({}, {}, config, "m-b32");
  EXPECT_EQ(from_config.value, 4);
  EXPECT_EQ(from_config.source, BlockLengthSource::kConfig);
}

TEST(BlockLengthTest, TheNameOfTheModelMayEndWithIt) {
  ModelConfig config = SmallDenseConfig();
  config.block_size.reset();
  for (const char* name : {"JetLM/SDAR-1.7B-Chat-b32", "SDAR-b32"}) {
    const BlockLength length = ResolveBlockLength({}, {}, config, name);
    EXPECT_EQ(length.value, 32) << name;
    EXPECT_EQ(length.source, BlockLengthSource::kName) << name;
  }
}

TEST(BlockLengthTest, IsFourByDefaultAndSaysSo) {
  ModelConfig config = SmallDenseConfig();
  config.block_size.reset();
  for (const char* name : {"JetLM/SDAR-1.7B-Chat", "x-b12", "m-b8/x", "b8"}) {
    const BlockLength length = ResolveBlockLength({}, {}, config, name);
    EXPECT_EQ(length.value, 4) << name;
    EXPECT_EQ(length.source, BlockLengthSource::kDefault) << name;
  }
}

}  // namespace
}  // namespace sdar
