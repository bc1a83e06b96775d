// SPDX-License-Identifier: Apache-2.0
// Responses of the service as OpenAI's bodies, chunks and errors.
#include "runtime/server/http/openai_answer.h"

#include "gtest/gtest.h"

#include "common/context_length.h"
#include "runtime/cluster/retry_delay.h"
#include "runtime/server/http/openai_error.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;

const Tokenizer& TinyTokenizer() {
  static const Tokenizer tokenizer =
      *Tokenizer::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return tokenizer;
}

// A token with the given logprob and one alternative.
GenerateResponse Delta(uint32_t index, const std::string& text, uint32_t id = 'A') {
  GenerateResponse response;
  sdar::v1::Delta& delta = *response.mutable_delta();
  delta.set_index(index);
  delta.set_text(text);
  delta.add_token_ids(id);
  delta.add_logprobs(-0.5f);
  sdar::v1::TokenLogprob& other = *delta.add_top()->add_alternatives();
  other.set_id(id + 1);
  other.set_logprob(-1.5f);
  return response;
}

GenerateResponse Finished(uint32_t index, sdar::v1::Finished::Reason reason) {
  GenerateResponse response;
  sdar::v1::Finished& finished = *response.mutable_finished();
  finished.set_index(index);
  finished.set_reason(reason);
  finished.mutable_usage()->set_prompt_tokens(10);
  finished.mutable_usage()->set_completion_tokens(3);
  finished.mutable_usage()->set_cached_tokens(4);
  return response;
}

OpenAiCall CallOf(bool chat, int64_t n = 1) {
  OpenAiCall call;
  call.model = "tiny";
  call.chat = chat;
  call.call.fields.n = n;
  return call;
}

OpenAiAnswer AnswerTo(const OpenAiCall& call) {
  return OpenAiAnswer(call, "id", 1700000000, TinyTokenizer());
}

TEST(OpenAiAnswerTest, AChatsBodyHasMessageReasonAndUsage) {
  OpenAiAnswer answer = AnswerTo(CallOf(true, 2));
  answer.Add(Delta(1, "two"));
  answer.Add(Delta(0, "<think>\nwhy\n</think>\n\none"));
  answer.Add(Finished(0, sdar::v1::Finished::STOP));
  answer.Add(Finished(1, sdar::v1::Finished::LENGTH));
  const Json body = answer.Body();
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["id"], "id");
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["created"], 1700000000);
  const Json& first = body["choices"][0];
  EXPECT_EQ(first["message"]["role"], "assistant");
  EXPECT_EQ(first["message"]["content"], "one");
  EXPECT_EQ(first["message"]["reasoning_content"], "why");
  EXPECT_EQ(first["finish_reason"], "stop");
  EXPECT_TRUE(first["logprobs"].is_null());
  EXPECT_EQ(body["choices"][1]["message"]["content"], "two");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 10);
  EXPECT_EQ(body["usage"]["completion_tokens"], 6);
  EXPECT_EQ(body["usage"]["total_tokens"], 16);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
}

TEST(OpenAiAnswerTest, ChunksBeginWithTheRoleAndEndWithTheReason) {
  OpenAiAnswer answer = AnswerTo(CallOf(true));
  const std::vector<Json> first = answer.Chunks(Delta(0, "Hel"));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(first[0]["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", "Hel"}}));
  EXPECT_TRUE(first[0]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(answer.Chunks(Delta(0, "lo"))[0]["choices"][0]["delta"], (Json{{"content", "lo"}}));
  EXPECT_TRUE(answer.Chunks(Delta(0, "")).empty());
  const Json last = answer.Chunks(Finished(0, sdar::v1::Finished::STOP))[0]["choices"][0];
  EXPECT_EQ(last["delta"], Json::object());
  EXPECT_EQ(last["finish_reason"], "stop");
  const Json usage = answer.UsageChunk();
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["total_tokens"], 13);
}

TEST(OpenAiAnswerTest, ToolCallsAreNumberedAndAreTheReasonToStop) {
  OpenAiCall call = CallOf(true);
  call.splitting.tool_calls = true;
  const std::string text =
      "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n"
      "<tool_call>{\"name\": \"g\"}</tool_call>";
  OpenAiAnswer whole = AnswerTo(call);
  whole.Add(Delta(0, text));
  whole.Add(Finished(0, sdar::v1::Finished::STOP));
  const Json choice = whole.Body()["choices"][0];
  EXPECT_TRUE(choice["message"]["content"].is_null());
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 2u);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["type"], "function");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"],
            (Json{{"name", "f"}, {"arguments", R"({"a":1})"}}));
  EXPECT_NE(choice["message"]["tool_calls"][0]["id"], choice["message"]["tool_calls"][1]["id"]);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");

  OpenAiAnswer chunks = AnswerTo(call);
  const Json delta = chunks.Chunks(Delta(0, text))[0]["choices"][0]["delta"];
  EXPECT_EQ(delta["tool_calls"][0]["index"], 0);
  EXPECT_EQ(delta["tool_calls"][1]["index"], 1);
  EXPECT_EQ(delta["tool_calls"][1]["function"]["name"], "g");
}

TEST(OpenAiAnswerTest, ChatLogprobsHaveTextBytesAndAlternatives) {
  OpenAiCall call = CallOf(true);
  call.call.fields.logprobs = 1;
  OpenAiAnswer answer = AnswerTo(call);
  const uint32_t id = static_cast<uint32_t>(*TinyTokenizer().FindToken("A"));
  answer.Add(Delta(0, "A", id));
  answer.Add(Delta(0, "A", id));
  answer.Add(Finished(0, sdar::v1::Finished::STOP));
  const Json content = answer.Body()["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[1]["token"], "A");
  EXPECT_EQ(content[1]["bytes"], Json::array({65}));
  EXPECT_EQ(content[1]["logprob"], -0.5);
  EXPECT_EQ(content[1]["top_logprobs"][0]["logprob"], -1.5);
}

TEST(OpenAiAnswerTest, CompletionsHaveTextAndLogprobsByOffset) {
  OpenAiCall call = CallOf(false);
  call.call.fields.logprobs = 1;
  OpenAiAnswer answer = AnswerTo(call);
  const uint32_t id = static_cast<uint32_t>(*TinyTokenizer().FindToken("A"));
  answer.Add(Delta(0, "A<think>", id));
  answer.Add(Delta(0, "A", id));
  answer.Add(Finished(0, sdar::v1::Finished::LENGTH));
  const Json choice = answer.Body()["choices"][0];
  EXPECT_EQ(choice["text"], "A<think>A");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"], Json::array({"A", "A"}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json::array({0, 8}));
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], Json::array({-0.5, -0.5}));
}

TEST(OpenAiAnswerTest, ProvisionalBlocksAreChunksWithoutChoices) {
  OpenAiAnswer answer = AnswerTo(CallOf(true));
  GenerateResponse response;
  sdar::v1::Provisional& provisional = *response.mutable_provisional();
  provisional.set_step(2);
  provisional.add_positions()->set_masked(true);
  const Json chunk = answer.Chunks(response)[0];
  EXPECT_TRUE(chunk["choices"].empty());
  EXPECT_EQ(chunk["provisional"]["step"], 2);
  EXPECT_EQ(chunk["provisional"]["positions"][0]["masked"], true);
}

TEST(OpenAiErrorTest, HasCodeTypeAndTheFieldThatIsMeant) {
  const Json error =
      OpenAiError(absl::InvalidArgumentError("temperature: expected 0 .. 100"))["error"];
  EXPECT_EQ(error["code"], 400);
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["param"], "temperature");
  EXPECT_EQ(error["message"], "temperature: expected 0 .. 100");
  EXPECT_TRUE(OpenAiError(absl::InvalidArgumentError("all wrong: x"))["error"]["param"].is_null());
  EXPECT_EQ(OpenAiError(absl::NotFoundError("model: x"))["error"]["code"], 404);
  for (const auto status :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kResourceExhausted}) {
    const absl::Status too_long =
        ContextLengthExceeded(status, 2048, "The prompt has 3000 tokens.");
    EXPECT_EQ(OpenAiError(too_long)["error"]["code"], "context_length_exceeded");
    EXPECT_EQ(OpenAiError(too_long)["error"]["message"],
              "This model's maximum context length is 2048 tokens. The prompt has 3000 tokens.");
    EXPECT_EQ(HttpCode(too_long), 400);
  }
}

TEST(OpenAiErrorTest, AFullQueueIsForLaterAndWhatNeverFitsIsNot) {
  const absl::Status full =
      WithRetryDelay(absl::ResourceExhaustedError("the queue is full"), absl::Seconds(2));

  EXPECT_EQ(HttpCode(full), 429);
  EXPECT_EQ(HttpCode(absl::ResourceExhaustedError("never")), 400);
  EXPECT_EQ(HttpCode(absl::UnavailableError("")), 503);
  EXPECT_EQ(HttpCode(absl::DeadlineExceededError("")), 504);
  EXPECT_EQ(HttpCode(absl::InternalError("")), 500);
}

}  // namespace
}  // namespace sdar
