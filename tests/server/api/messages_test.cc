// SPDX-License-Identifier: Apache-2.0
// Bodies and answers of Anthropic's Messages API.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/server/api/answers/messages_answer.h"
#include "runtime/server/api/bodies/messages_request.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "tests/server/api/api_calls.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

absl::StatusOr<ApiCall> ParseBody(const std::string& body) {
  return ParseMessages(*ParseJson(body, "body"), TinyModels(), TinyCodec());
}

std::string PromptText(const ApiCall& call) {
  return TinyTokenizer().Decode(call.prompts[0], false);
}

// The prompt of the same conversation as a chat.
std::string PromptOfChat(const std::string& body) {
  const auto call = ParseChatCompletion(*ParseJson(body, "body"), TinyModels(), TinyCodec());
  EXPECT_THAT(call, IsOk());
  return call.ok() ? PromptText(*call) : "";
}

TEST(MessagesRequestTest, TheSystemGoesFirst) {
  const auto call =
      ParseBody(R"({"max_tokens": 7, "system": [{"type": "text", "text": "Be brief."}],
      "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "top_k": 3,
      "stop_sequences": ["x"], "metadata": {"user_id": "u"}, "denoising_steps": 2})");
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(PromptText(*call),
            PromptOfChat(R"({"messages": [{"role": "system", "content": "Be brief."},
      {"role": "user", "content": "Hi"}]})"));
  EXPECT_EQ(call->call.fields.max_tokens, 7);
  EXPECT_EQ(call->call.fields.top_k, 3);
  EXPECT_THAT(call->call.fields.stop, ElementsAre("x"));
  EXPECT_THAT(call->unknown_fields, ElementsAre());
}

TEST(MessagesRequestTest, ToolsAreCalledAndAnswered) {
  const auto call = ParseBody(R"({"tools": [{"name": "weather", "description": "d",
      "input_schema": {"type": "object", "properties": {"city": {}}}}], "tool_choice": {"type": "auto"},
      "messages": [{"role": "user", "content": "Weather in Lima?"},
      {"role": "assistant", "content": [{"type": "text", "text": "I look."},
       {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Lima"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t",
       "content": [{"type": "text", "text": "sunny"}]}, {"type": "text", "text": "Well?"}]}]})");
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(PromptText(*call),
            PromptOfChat(R"({"tools": [{"type": "function", "function": {"name": "weather",
      "description": "d", "parameters": {"type": "object", "properties": {"city": {}}}}}],
      "messages": [{"role": "user", "content": "Weather in Lima?"},
      {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "t", "type": "function",
       "function": {"name": "weather", "arguments": "{\"city\":\"Lima\"}"}}]},
      {"role": "tool", "tool_call_id": "t", "content": "sunny"},
      {"role": "user", "content": "Well?"}]})"));
}

TEST(MessagesRequestTest, OneCallIsEnoughWhereThatIsSaid) {
  const auto call = ParseBody(R"({"tools": [{"name": "f", "input_schema": {}}],
      "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
      "messages": [{"role": "user", "content": "a"}]})");
  ASSERT_THAT(call, IsOk());
  EXPECT_TRUE(call->one_tool_call);
}

TEST(MessagesRequestTest, WhatCannotBeIsRefusedByTheFieldsName) {
  const std::string user = R"("messages": [{"role": "user", "content": "a"}])";
  const std::pair<std::string, const char*> cases[] = {
      {R"({})", "messages: "},
      {R"({"messages": [3]})", "messages[0].role: "},
      {R"({"messages": [{"role": "system", "content": "a"}]})", "messages[0].role: "},
      {R"({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]})",
       "messages[0].content[0].type: "},
      {R"({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]})",
       "messages[0].content[0].tool_use_id: "},
      {R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})",
       "messages: the last is the assistant's"},
      {"{" + user + R"(, "tools": [{"type": "web_search_20250305", "name": "w"}]})",
       "tools[0].type: "},
      {"{" + user + R"(, "tools": [{"name": "w", "input_schema": 3}]})", "tools[0].input_schema: "},
      {"{" + user + R"(, "tool_choice": {"type": "any"}})", "tool_choice: a call is asked for"},
      {"{" + user + R"(, "n": 2})", "n: "},
  };
  for (const auto& [body, named] : cases) {
    EXPECT_THAT(ParseBody(body), StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << body;
  }
}

AnswerForm MessageForm(const ApiCall& call) {
  return MakeMessagesAnswer(call, {"msg_1", 0}, TinyTokenizer());
}

TEST(MessagesAnswerTest, ABodyHasPartsReasonAndUsage) {
  ApiCall call = CallOf(true);
  call.splitting.tool_calls = true;
  AnswerForm form = MessageForm(call);
  form.take(0, DeltaOf(0, "<think>\nwhy\n</think>\n\nI look.\n"));
  form.take(0, DeltaOf(0, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>"));
  form.take(0, FinishedOf(0));
  const Json body = form.body();
  EXPECT_EQ(body["type"], "message");
  EXPECT_EQ(body["role"], "assistant");
  ASSERT_EQ(body["content"].size(), 3u);
  EXPECT_EQ(body["content"][0],
            (Json{{"type", "thinking"}, {"thinking", "why"}, {"signature", ""}}));
  EXPECT_EQ(body["content"][1], (Json{{"type", "text"}, {"text", "I look."}}));
  EXPECT_EQ(body["content"][2]["name"], "f");
  EXPECT_EQ(body["content"][2]["input"], (Json{{"a", 1}}));
  EXPECT_EQ(body["stop_reason"], "tool_use");
  EXPECT_EQ(body["usage"]["input_tokens"], 1);
  EXPECT_EQ(body["usage"]["cache_read_input_tokens"], 1);
  EXPECT_EQ(body["usage"]["output_tokens"], 2);
}

TEST(MessagesAnswerTest, TheReasonIsAnthropicsWord) {
  const auto reason = [](sdar::v1::GenerateResponse end) {
    AnswerForm form = MessageForm(CallOf(true));
    form.take(0, end);
    return form.body();
  };
  EXPECT_EQ(reason(FinishedOf(0))["stop_reason"], "end_turn");
  EXPECT_EQ(reason(FinishedOf(0, sdar::v1::Finished::LENGTH))["stop_reason"], "max_tokens");
  sdar::v1::GenerateResponse stopped = FinishedOf(0);
  stopped.mutable_finished()->set_stop_string("x");
  EXPECT_EQ(reason(stopped)["stop_reason"], "stop_sequence");
  EXPECT_EQ(reason(stopped)["stop_sequence"], "x");
}

TEST(MessagesAnswerTest, EventsTellTheSameInOrder) {
  ApiCall call = CallOf(true, true);
  call.splitting.tool_calls = call.splitting.stream_tool_calls = true;
  AnswerForm form = MessageForm(call);
  std::string text = form.take(0, DeltaOf(0, "Hel"));
  text += form.take(0, DeltaOf(0, "lo <tool_call>{\"name\": \"f\", \"arguments\": {\"a\""));
  text += form.take(0, DeltaOf(0, ": 1}}</tool_call>"));
  text += form.take(0, FinishedOf(0));
  text += form.end(absl::OkStatus());
  EXPECT_THAT(text, StartsWith("event: message_start\ndata: "));
  std::vector<std::string> types;
  const std::vector<Json> events = EventsOf(text);
  for (const Json& event : events) types.push_back(event["type"].get<std::string>());
  EXPECT_THAT(types, ElementsAre("message_start", "content_block_start", "content_block_delta",
                                 "content_block_delta", "content_block_stop", "content_block_start",
                                 "content_block_delta", "content_block_delta", "content_block_stop",
                                 "message_delta", "message_stop"));
  EXPECT_EQ(events[0]["message"]["content"], Json::array());
  EXPECT_EQ(events[2]["delta"], (Json{{"type", "text_delta"}, {"text", "Hel"}}));
  EXPECT_EQ(events[5]["index"], 1);
  EXPECT_EQ(events[5]["content_block"]["input"], Json::object());
  EXPECT_EQ(events[7]["delta"], (Json{{"type", "input_json_delta"}, {"partial_json", ":1}"}}));
  EXPECT_EQ(events[9]["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(events[9]["usage"]["output_tokens"], 3);
}

TEST(MessagesAnswerTest, AFailureIsAnErrorEvent) {
  AnswerForm form = MessageForm(CallOf(true, true));
  const std::string text = form.end(absl::AbortedError("a rank was lost"));
  EXPECT_THAT(text, StartsWith("event: error\n"));
  EXPECT_EQ(EventsOf(text)[0]["error"]["type"], "overloaded_error");
}

}  // namespace
}  // namespace sdar
