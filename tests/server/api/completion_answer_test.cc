// SPDX-License-Identifier: Apache-2.0
// Responses of the service as OpenAI's completions.
#include "runtime/server/api/answers/completion_answer.h"

#include "gtest/gtest.h"

#include "tests/server/api/api_calls.h"

namespace sdar {
namespace {

AnswerForm CompletionForm(const ApiCall& call) {
  return MakeCompletionAnswer(call, {"id", 1700000000}, TinyTokenizer());
}

// Of the tokens A and B.
sdar::v1::ScoreResponse Scores() {
  sdar::v1::ScoreResponse scores;
  for (const char* token : {"A", "B"}) {
    scores.add_token_ids(IdOf(token));
    scores.add_logprobs(-2);
    scores.add_greedy(false);
    sdar::v1::TokenLogprob& other = *scores.add_top()->add_alternatives();
    other.set_id(IdOf("C"));
    other.set_logprob(-1);
  }
  scores.mutable_usage()->set_denoising_steps(2);
  return scores;
}

TEST(CompletionAnswerTest, HasTextAndLogprobsByOffset) {
  ApiCall call = CallOf(false);
  call.call.fields.logprobs = 1;
  AnswerForm form = CompletionForm(call);
  form.take(0, DeltaOf(0, "A", IdOf("A")));
  form.take(0, DeltaOf(0, "B", IdOf("B")));
  form.take(0, FinishedOf(0, sdar::v1::Finished::LENGTH));
  const Json choice = form.body()["choices"][0];
  EXPECT_EQ(choice["text"], "AB");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"], Json::array({"A", "B"}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json::array({0, 1}));
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], Json::array({-0.5, -0.5}));
  EXPECT_EQ(choice["logprobs"]["top_logprobs"][0]["A"], -0.5);
}

TEST(CompletionAnswerTest, TheSamplesOfAPromptFollowEachOther) {
  ApiCall call = CallOf(false, false, 2);
  call.call.fields.n = 2;
  AnswerForm form = CompletionForm(call);
  for (const size_t prompt : {size_t{1}, size_t{0}}) {
    for (const uint32_t sample : {1u, 0u}) {
      form.take(prompt, DeltaOf(sample, absl::StrCat(prompt, "-", sample)));
      form.take(prompt, FinishedOf(sample));
    }
  }
  const Json body = form.body();
  ASSERT_EQ(body["choices"].size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["text"], absl::StrCat(i / 2, "-", i % 2));
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(body["usage"]["completion_tokens"], 4);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
}

TEST(CompletionAnswerTest, AnEchoBeginsWithThePrompt) {
  ApiCall call = CallOf(false);
  call.echo = true;
  AnswerForm form = CompletionForm(call);
  form.take(0, DeltaOf(0, "C"));
  form.take(0, FinishedOf(0));
  EXPECT_EQ(form.body()["choices"][0]["text"], "ABC");
}

TEST(CompletionAnswerTest, AnEchoWithLogprobsHasThoseOfThePrompt) {
  ApiCall call = CallOf(false);
  call.echo = true;
  call.call.fields.logprobs = 1;
  AnswerForm form = CompletionForm(call);
  form.take_scores(0, Scores());
  form.take(0, DeltaOf(0, "C", IdOf("C")));
  form.take(0, FinishedOf(0));
  const Json choice = form.body()["choices"][0];
  EXPECT_EQ(choice["text"], "ABC");
  const Json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"A", "B", "C"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json::array({nullptr, -2, -0.5}));
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2}));
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["top_logprobs"][1], (Json{{"B", -2}, {"C", -1}}));
}

TEST(CompletionAnswerTest, WithoutTokensToGenerateThereIsThePromptAlone) {
  ApiCall call = CallOf(false);
  call.echo = true;
  call.generates = false;
  call.prompt_logprobs = 1;
  AnswerForm form = CompletionForm(call);
  form.take_scores(0, Scores());
  const Json body = form.body();
  const Json& choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "AB");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["logprobs"].is_null());
  ASSERT_EQ(choice["prompt_logprobs"].size(), 2u);
  EXPECT_TRUE(choice["prompt_logprobs"][0].is_null());
  const Json& second = choice["prompt_logprobs"][1];
  EXPECT_EQ(second[absl::StrCat(IdOf("B"))],
            (Json{{"logprob", -2}, {"rank", nullptr}, {"decoded_token", "B"}}));
  EXPECT_EQ(second[absl::StrCat(IdOf("C"))],
            (Json{{"logprob", -1}, {"rank", 1}, {"decoded_token", "C"}}));
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
  EXPECT_EQ(body["usage"]["denoising_steps"], 2);
}

TEST(CompletionAnswerTest, AStreamSaysTheSameInChunks) {
  ApiCall call = CallOf(false, true);
  call.echo = true;
  call.call.fields.logprobs = 1;
  AnswerForm form = CompletionForm(call);
  const std::vector<Json> prompt = EventsOf(form.take_scores(0, Scores()));
  ASSERT_EQ(prompt.size(), 1u);
  EXPECT_EQ(prompt[0]["choices"][0]["text"], "AB");
  EXPECT_EQ(prompt[0]["choices"][0]["logprobs"]["tokens"].size(), 2u);
  const std::vector<Json> delta = EventsOf(form.take(0, DeltaOf(0, "C", IdOf("C"))));
  ASSERT_EQ(delta.size(), 1u);
  EXPECT_EQ(delta[0]["object"], "text_completion");
  EXPECT_EQ(delta[0]["choices"][0]["text"], "C");
  EXPECT_EQ(delta[0]["choices"][0]["logprobs"]["text_offset"], Json::array({2}));
  EXPECT_EQ(EventsOf(form.take(0, FinishedOf(0)))[0]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(EventsOf(form.end(absl::OkStatus())), std::vector<Json>{"[DONE]"});
}

}  // namespace
}  // namespace sdar
