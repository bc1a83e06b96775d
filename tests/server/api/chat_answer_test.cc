// SPDX-License-Identifier: Apache-2.0
// Responses of the service as OpenAI's chats.
#include "runtime/server/api/answers/chat_answer.h"

#include "gtest/gtest.h"

#include "tests/server/api/api_calls.h"

namespace sdar {
namespace {

AnswerForm ChatForm(const ApiCall& call) {
  return MakeChatAnswer(call, {"id", 1700000000}, TinyTokenizer());
}

// The one chunk that a response makes.
Json ChunkOf(AnswerForm& form, const sdar::v1::GenerateResponse& response) {
  const std::vector<Json> events = EventsOf(form.take(0, response));
  EXPECT_EQ(events.size(), 1u);
  return events.empty() ? Json() : events[0];
}

TEST(ChatAnswerTest, ABodyHasMessageReasonAndUsage) {
  ApiCall call = CallOf(true);
  call.call.fields.n = 2;
  AnswerForm form = ChatForm(call);
  form.take(0, DeltaOf(1, "two"));
  form.take(0, DeltaOf(0, "<think>\nwhy\n</think>\n\none"));
  form.take(0, FinishedOf(0));
  form.take(0, FinishedOf(1, sdar::v1::Finished::LENGTH));
  const Json body = form.body();
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
  EXPECT_EQ(body["usage"], (Json{{"prompt_tokens", 2},
                                 {"completion_tokens", 2},
                                 {"total_tokens", 4},
                                 {"prompt_tokens_details", {{"cached_tokens", 1}}},
                                 {"denoising_steps", 8},
                                 {"forward_passes", 10}}));
}

TEST(ChatAnswerTest, ChunksBeginWithTheRoleAndEndWithTheReason) {
  ApiCall call = CallOf(true, true);
  call.include_usage = true;
  AnswerForm form = ChatForm(call);
  const Json first = ChunkOf(form, DeltaOf(0, "Hel"));
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", "Hel"}}));
  EXPECT_TRUE(first["choices"][0]["finish_reason"].is_null());
  EXPECT_FALSE(first.contains("usage"));
  EXPECT_EQ(ChunkOf(form, DeltaOf(0, "lo"))["choices"][0]["delta"], (Json{{"content", "lo"}}));
  EXPECT_EQ(form.take(0, DeltaOf(0, "")), "");
  const Json last = ChunkOf(form, FinishedOf(0))["choices"][0];
  EXPECT_EQ(last["delta"], Json::object());
  EXPECT_EQ(last["finish_reason"], "stop");
  const std::vector<Json> end = EventsOf(form.end(absl::OkStatus()));
  ASSERT_EQ(end.size(), 2u);
  EXPECT_TRUE(end[0]["choices"].empty());
  EXPECT_EQ(end[0]["usage"]["total_tokens"], 5);
  EXPECT_EQ(end[1], "[DONE]");
}

TEST(ChatAnswerTest, AStreamThatFailsEndsWithTheError) {
  AnswerForm form = ChatForm(CallOf(true, true));
  const std::vector<Json> end = EventsOf(form.end(absl::AbortedError("a rank was lost")));
  ASSERT_EQ(end.size(), 2u);
  EXPECT_EQ(end[0]["error"]["code"], 503);
  EXPECT_EQ(end[1], "[DONE]");
}

TEST(ChatAnswerTest, TheUsageSoFarIsInEveryChunkWhereThatIsWanted) {
  ApiCall call = CallOf(true, true);
  call.continuous_usage = true;
  AnswerForm form = ChatForm(call);
  EXPECT_EQ(ChunkOf(form, DeltaOf(0, "a"))["usage"]["completion_tokens"], 1);
  EXPECT_EQ(ChunkOf(form, DeltaOf(0, "b"))["usage"]["completion_tokens"], 2);
}

constexpr char kTwoCalls[] =
    "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n"
    "<tool_call>{\"name\": \"g\"}</tool_call>";

TEST(ChatAnswerTest, ToolCallsAreNumberedAndAreTheReasonToStop) {
  ApiCall call = CallOf(true);
  call.splitting.tool_calls = true;
  AnswerForm form = ChatForm(call);
  form.take(0, DeltaOf(0, kTwoCalls));
  form.take(0, FinishedOf(0));
  const Json choice = form.body()["choices"][0];
  EXPECT_TRUE(choice["message"]["content"].is_null());
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 2u);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["type"], "function");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"],
            (Json{{"name", "f"}, {"arguments", R"({"a":1})"}}));
  EXPECT_NE(choice["message"]["tool_calls"][0]["id"], choice["message"]["tool_calls"][1]["id"]);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
}

TEST(ChatAnswerTest, ArgumentsAreStreamedAsTheyBecomeFinal) {
  ApiCall call = CallOf(true, true);
  call.splitting.tool_calls = call.splitting.stream_tool_calls = true;
  AnswerForm form = ChatForm(call);
  const std::string text = kTwoCalls;
  const size_t cut = text.find("1}}");
  const Json begin = ChunkOf(form, DeltaOf(0, text.substr(0, cut)))["choices"][0]["delta"];
  EXPECT_EQ(begin["tool_calls"][0]["index"], 0);
  EXPECT_EQ(begin["tool_calls"][0]["function"], (Json{{"name", "f"}, {"arguments", R"({"a":)"}}));
  const Json rest = ChunkOf(form, DeltaOf(0, text.substr(cut)))["choices"][0]["delta"];
  ASSERT_EQ(rest["tool_calls"].size(), 2u);
  EXPECT_EQ(rest["tool_calls"][0], (Json{{"index", 0}, {"function", {{"arguments", "1}"}}}}));
  EXPECT_EQ(rest["tool_calls"][1]["index"], 1);
  EXPECT_EQ(rest["tool_calls"][1]["function"]["name"], "g");
  EXPECT_EQ(ChunkOf(form, FinishedOf(0))["choices"][0]["finish_reason"], "tool_calls");
}

TEST(ChatAnswerTest, TheEndOfTheOneCallThatWasWantedIsNoStopString) {
  ApiCall call = CallOf(true);
  call.splitting.tool_calls = call.one_tool_call = true;
  AnswerForm form = ChatForm(call);
  form.take(0, DeltaOf(0, "<tool_call>{\"name\": \"f\", \"arguments\": {}}\n"));
  sdar::v1::GenerateResponse end = FinishedOf(0);
  end.mutable_finished()->set_stop_string("</tool_call>");
  form.take(0, end);
  const Json choice = form.body()["choices"][0];
  EXPECT_EQ(choice["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["stop_reason"].is_null());
}

TEST(ChatAnswerTest, LogprobsHaveTextBytesAndAlternatives) {
  ApiCall call = CallOf(true);
  call.call.fields.logprobs = 1;
  AnswerForm form = ChatForm(call);
  form.take(0, DeltaOf(0, "A", IdOf("A")));
  form.take(0, DeltaOf(0, "A", IdOf("A")));
  form.take(0, FinishedOf(0));
  const Json content = form.body()["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[1]["token"], "A");
  EXPECT_EQ(content[1]["bytes"], Json::array({65}));
  EXPECT_EQ(content[1]["logprob"], -0.5);
  EXPECT_EQ(content[1]["top_logprobs"][0]["logprob"], -1.5);
}

TEST(ChatAnswerTest, TokenIdsAreThereWhereTheyAreWanted) {
  ApiCall call = CallOf(true);
  call.return_token_ids = true;
  AnswerForm whole = ChatForm(call);
  whole.take(0, DeltaOf(0, "A", IdOf("A")));
  whole.take(0, FinishedOf(0));
  EXPECT_EQ(whole.body()["prompt_token_ids"], Json(call.prompts[0]));
  EXPECT_EQ(whole.body()["choices"][0]["token_ids"], Json::array({IdOf("A")}));
  call.stream = true;
  AnswerForm chunks = ChatForm(call);
  const Json first = ChunkOf(chunks, DeltaOf(0, "A", IdOf("A")))["choices"][0];
  EXPECT_EQ(first["prompt_token_ids"], Json(call.prompts[0]));
  EXPECT_EQ(first["token_ids"], Json::array({IdOf("A")}));
}

TEST(ChatAnswerTest, ProvisionalBlocksAreChunksWithoutChoices) {
  AnswerForm form = ChatForm(CallOf(true, true));
  sdar::v1::GenerateResponse response;
  sdar::v1::Provisional& provisional = *response.mutable_provisional();
  provisional.set_step(2);
  provisional.add_positions()->set_masked(true);
  const Json chunk = ChunkOf(form, response);
  EXPECT_TRUE(chunk["choices"].empty());
  EXPECT_EQ(chunk["provisional"]["step"], 2);
  EXPECT_EQ(chunk["provisional"]["positions"][0]["masked"], true);
}

}  // namespace
}  // namespace sdar
