// SPDX-License-Identifier: Apache-2.0
#include "launcher/score/likelihood_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(LikelihoodLineTest, TheIdsFromPromptLengthOnAreTheTargets) {
  Json id;
  const auto line = ParseLikelihoodLine(
      R"({"id": "a", "ids": [5, 6, 7], "prompt_length": 1, "top_logprobs": 2, "block_length": 8})",
      3, id);
  ASSERT_THAT(line, IsOk());
  EXPECT_EQ(id, "a");
  EXPECT_THAT(line->prompt, ElementsAre(5));
  EXPECT_THAT(line->targets, ElementsAre(6, 7));
  EXPECT_EQ(line->fields.top_logprobs, 2);
  EXPECT_EQ(line->fields.block_length, 8);
}

TEST(LikelihoodLineTest, WithoutAPromptLengthAllIdsAreTargets) {
  Json id;
  const auto line = ParseLikelihoodLine(R"({"ids": [5]})", 3, id);
  ASSERT_THAT(line, IsOk());
  EXPECT_EQ(id, 3);
  EXPECT_THAT(line->prompt, IsEmpty());
  EXPECT_THAT(line->targets, ElementsAre(5));
}

TEST(LikelihoodLineTest, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"[", "the line"},
      {"[]", "an object"},
      {R"({"id": 1})", "ids: expected a list of at least one"},
      {R"({"ids": []})", "ids: expected a list of at least one"},
      {R"({"ids": 5})", "ids: expected a list"},
      {R"({"ids": [5, -1]})", "ids: expected a token id, got -1"},
      {R"({"ids": [5, 4294967296]})", "ids: expected a token id"},
      {R"({"ids": [5], "prompt_length": 1})", "prompt_length: expected 0 .. 0 with 1 ids, got 1"},
      {R"({"ids": [5], "prompt_length": -1})", "prompt_length: expected 0 .. 0"},
      {R"({"ids": [5], "prompt_length": 0.5})", "prompt_length: expected an integer"},
      {R"({"ids": [5], "top_logprobs": "x"})", "top_logprobs: expected an integer"},
      {R"({"ids": [5], "targets": [5]})", "unknown field 'targets'"},
      {R"({"ids": [5], "temperature": 1})", "unknown field 'temperature'"}};
  for (const auto& [text, named] : cases) {
    Json id;
    EXPECT_THAT(ParseLikelihoodLine(text, 1, id),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(named)))
        << text;
  }
}

TEST(LikelihoodLineTest, TheIdOfABadLineIsKnown) {
  Json id;
  EXPECT_FALSE(ParseLikelihoodLine(R"({"id": 7, "ids": []})", 1, id).ok());
  EXPECT_EQ(id, 7);
}

TEST(LikelihoodRecordTest, HasAValueForEachTargetAndTheirSum) {
  std::vector<RevealedToken> targets(2);
  targets[0].logprob = -0.5;
  targets[0].greedy = true;
  targets[1].logprob = -2;
  EXPECT_EQ(DumpJson(LikelihoodRecord("a", targets)),
            R"({"id":"a","logprobs":[-0.5,-2.0],"sum":-2.5,"greedy":[true,false]})");
  targets[0].top = {{5, -0.25}};
  targets[1].top = {{6, -1}};
  EXPECT_EQ(DumpJson(LikelihoodRecord("a", targets)["top"]),
            R"([[{"id":5,"logprob":-0.25}],[{"id":6,"logprob":-1.0}]])");
}

}  // namespace
}  // namespace sdar
