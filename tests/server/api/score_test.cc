// SPDX-License-Identifier: Apache-2.0
// Bodies and answers of /v1/score.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/server/api/answers/score_answer.h"
#include "runtime/server/api/bodies/score_request.h"
#include "tests/server/api/api_calls.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

absl::StatusOr<ApiCall> ParseScoreBody(const std::string& body) {
  return ParseScore(*ParseJson(body, "body"), TinyModels(), TinyCodec());
}

TEST(ScoreRequestTest, PromptAndContinuationAreTextsOrIds) {
  const auto ids =
      ParseScoreBody(R"({"prompt": [1, 2], "ids": [3], "top_logprobs": 4, "block_length": 8})");
  ASSERT_THAT(ids, IsOk());
  EXPECT_FALSE(ids->generates);
  EXPECT_THAT(ids->prompts, ElementsAre(ElementsAre(1, 2)));
  EXPECT_THAT(ids->call.targets, ElementsAre(3));
  EXPECT_EQ(ids->call.score_fields.top_logprobs, 4);
  EXPECT_EQ(ids->call.score_fields.block_length, 8);
  const auto text = ParseScoreBody(R"({"text": "A"})");
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(text->prompts, ElementsAre(ElementsAre()));
  EXPECT_THAT(text->call.targets, ElementsAre(static_cast<TokenId>(IdOf("A"))));
  EXPECT_THAT(ParseScoreBody(R"({"messages": [{"role": "user", "content": "Hi"}], "text": "A"})"),
              IsOk());
}

TEST(ScoreRequestTest, WhatCannotBeIsRefusedByTheFieldsName) {
  for (const auto& [body, named] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "text: "},
           {R"({"text": ""})", "text: "},
           {R"({"text": "a", "ids": [1]})", "text: "},
           {R"({"text": "a", "prompt": 3})", "prompt: "},
           {R"({"text": "a", "stream": true})", "stream: "},
           {R"({"text": "a", "top_logprobs": "x"})", "top_logprobs: "}}) {
    EXPECT_THAT(ParseScoreBody(body),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << body;
  }
  EXPECT_THAT(ParseScoreBody(R"({"text": "a", "temperature": 1})")->unknown_fields,
              ElementsAre("temperature"));
}

TEST(ScoreAnswerTest, HasWhatGrpcHas) {
  ApiCall call = CallOf(false);
  AnswerForm form = MakeScoreAnswer(call, {"score-1", 1}, TinyTokenizer());
  sdar::v1::ScoreResponse scores;
  scores.add_token_ids(7);
  scores.add_logprobs(-0.25f);
  scores.set_sum(-0.25);
  scores.add_greedy(true);
  sdar::v1::TokenLogprob& other = *scores.add_top()->add_alternatives();
  other.set_id(7);
  other.set_logprob(-0.25f);
  scores.mutable_usage()->set_denoising_steps(1);
  form.take_scores(0, scores);
  const Json body = form.body();
  EXPECT_EQ(body["object"], "score");
  EXPECT_EQ(body["token_ids"], Json::array({7}));
  EXPECT_EQ(body["logprobs"], Json::array({-0.25}));
  EXPECT_EQ(body["sum"], -0.25);
  EXPECT_EQ(body["greedy"], Json::array({true}));
  EXPECT_EQ(body["top"], Json::array({Json::array({{{"id", 7}, {"logprob", -0.25}}})}));
  EXPECT_EQ(body["usage"]["completion_tokens"], 1);
  EXPECT_EQ(body["usage"]["denoising_steps"], 1);
}

}  // namespace
}  // namespace sdar
