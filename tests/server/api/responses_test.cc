// SPDX-License-Identifier: Apache-2.0
// Bodies and answers of OpenAI's Responses API.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/server/api/answers/responses_answer.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "runtime/server/api/bodies/responses_request.h"
#include "tests/server/api/api_calls.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<ApiCall> ParseResponseBody(const std::string& body) {
  return ParseResponse(*ParseJson(body, "body"), TinyModels(), TinyCodec());
}

std::string PromptOf(const ApiCall& call) { return TinyTokenizer().Decode(call.prompts[0], false); }

// The prompt of the same conversation as a chat.
std::string ChatPrompt(const std::string& body) {
  const auto call = ParseChatCompletion(*ParseJson(body, "body"), TinyModels(), TinyCodec());
  EXPECT_THAT(call, IsOk());
  return call.ok() ? PromptOf(*call) : "";
}

TEST(ResponsesRequestTest, ATextIsAQuestionAndInstructionsAreTheSystems) {
  const auto call =
      ParseResponseBody(R"({"input": "Hi", "instructions": "Be brief.", "max_output_tokens": 7,
      "temperature": 0.5, "top_p": 0.9, "denoising_steps": 2, "store": false, "reasoning": {"effort": "low"},
      "metadata": {"a": "b"}, "text": {"format": {"type": "text"}, "verbosity": "low"}})");
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(PromptOf(*call), ChatPrompt(R"({"messages": [{"role": "system", "content": "Be brief."},
      {"role": "user", "content": "Hi"}]})"));
  EXPECT_EQ(call->call.fields.max_tokens, 7);
  EXPECT_EQ(call->call.fields.denoising_steps, 2);
  EXPECT_THAT(call->unknown_fields, ElementsAre());
  EXPECT_EQ(call->repeated["instructions"], "Be brief.");
  EXPECT_EQ(call->repeated["metadata"]["a"], "b");
}

TEST(ResponsesRequestTest, ItemsAreTheConversation) {
  const auto call =
      ParseResponseBody(R"({"tools": [{"type": "function", "name": "weather", "description": "d",
      "parameters": {"type": "object", "properties": {"city": {}}}, "strict": true}],
      "input": [{"role": "user", "content": [{"type": "input_text", "text": "Weather in Lima?"}]},
      {"type": "reasoning", "id": "r", "summary": []},
      {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{\"city\": \"Lima\"}"},
      {"type": "function_call_output", "call_id": "c", "output": "sunny"},
      {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is sunny.",
       "annotations": []}]},
      {"role": "user", "content": "Thanks!"}]})");
  ASSERT_THAT(call, IsOk());
  EXPECT_TRUE(call->splitting.tool_calls);
  EXPECT_EQ(PromptOf(*call),
            ChatPrompt(R"({"tools": [{"type": "function", "function": {"name": "weather",
      "description": "d", "parameters": {"type": "object", "properties": {"city": {}}}}}],
      "messages": [{"role": "user", "content": "Weather in Lima?"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function",
       "function": {"name": "weather", "arguments": "{\"city\": \"Lima\"}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "sunny"},
      {"role": "assistant", "content": "It is sunny."},
      {"role": "user", "content": "Thanks!"}]})"));
}

TEST(ResponsesRequestTest, WhatCannotBeIsRefusedByTheFieldsName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "input: "},
      {R"({"input": []})", "input: "},
      {R"({"input": [3]})", "input[0]: "},
      {R"({"input": [{"type": "item_reference", "id": "x"}]})", "input[0].type: "},
      {R"({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]})",
       "input[0].content[0].type: "},
      {R"({"input": [{"type": "function_call", "name": "f"}]})", "input[0].call_id: "},
      {R"({"input": "a", "previous_response_id": "resp_1"})",
       "previous_response_id: expected null: nothing is stored here"},
      {R"({"input": "a", "conversation": "c"})", "conversation: "},
      {R"({"input": "a", "background": true})", "background: "},
      {R"({"input": "a", "truncation": "auto"})", "truncation: "},
      {R"({"input": "a", "tools": [{"type": "web_search"}]})", "tools[0].type: "},
      {R"({"input": "a", "tool_choice": "required"})", "tool_choice: "},
      {R"({"input": "a", "text": {"format": {"type": "json_schema"}}})", "text: format: "},
      {R"({"input": "a", "n": 2})", "n: "},
      {R"({"input": "a", "max_output_tokens": "x"})", "max_tokens: "},
  };
  for (const auto& [body, named] : cases) {
    EXPECT_THAT(ParseResponseBody(body),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << body;
  }
  EXPECT_THAT(ParseResponseBody(R"({"input": "a", "frobnicate": 1})")->unknown_fields,
              ElementsAre("frobnicate"));
}

AnswerForm ResponseForm(const ApiCall& call) {
  return MakeResponsesAnswer(call, {"resp_1", 1700000000}, TinyTokenizer());
}

std::vector<std::string> TypesOf(const std::vector<Json>& events) {
  std::vector<std::string> types;
  for (const Json& event : events) types.push_back(event["type"].get<std::string>());
  return types;
}

TEST(ResponsesAnswerTest, ABodyHasItemsAndUsage) {
  ApiCall call = CallOf(true);
  call.splitting.tool_calls = true;
  AnswerForm form = ResponseForm(call);
  form.take(0, DeltaOf(0, "<think>\nwhy\n</think>\n\nI look.\n"));
  form.take(0, DeltaOf(0, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>"));
  form.take(0, FinishedOf(0));
  const Json body = form.body();
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  EXPECT_TRUE(body["incomplete_details"].is_null());
  const Json& output = body["output"];
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output[0]["type"], "reasoning");
  EXPECT_EQ(output[0]["content"][0]["text"], "why");
  EXPECT_EQ(output[1]["type"], "message");
  EXPECT_EQ(output[1]["content"][0]["type"], "output_text");
  EXPECT_EQ(output[1]["content"][0]["text"], "I look.");
  EXPECT_EQ(output[1]["content"][0]["annotations"], Json::array());
  EXPECT_EQ(output[2]["type"], "function_call");
  EXPECT_EQ(output[2]["name"], "f");
  EXPECT_EQ(output[2]["arguments"], R"({"a":1})");
  EXPECT_NE(output[2]["call_id"], output[2]["id"]);
  EXPECT_EQ(body["usage"]["input_tokens"], 2);
  EXPECT_EQ(body["usage"]["input_tokens_details"]["cached_tokens"], 1);
  EXPECT_EQ(body["usage"]["output_tokens"], 2);
  EXPECT_EQ(body["usage"]["total_tokens"], 4);
  EXPECT_EQ(body["usage"]["denoising_steps"], 4);
}

TEST(ResponsesAnswerTest, AnAnswerThatWasCutOffIsIncomplete) {
  AnswerForm form = ResponseForm(CallOf(true));
  form.take(0, DeltaOf(0, "a"));
  form.take(0, FinishedOf(0, sdar::v1::Finished::LENGTH));
  EXPECT_EQ(form.body()["status"], "incomplete");
  EXPECT_EQ(form.body()["incomplete_details"]["reason"], "max_output_tokens");
}

TEST(ResponsesAnswerTest, AnEmptyAnswerIsAnEmptyMessage) {
  AnswerForm form = ResponseForm(CallOf(true));
  form.take(0, FinishedOf(0));
  ASSERT_EQ(form.body()["output"].size(), 1u);
  EXPECT_EQ(form.body()["output"][0]["content"][0]["text"], "");
}

TEST(ResponsesAnswerTest, EventsTellTheSameInOrder) {
  ApiCall call = CallOf(true, true);
  call.splitting.tool_calls = call.splitting.stream_tool_calls = true;
  AnswerForm form = ResponseForm(call);
  std::string text = form.take(0, DeltaOf(0, "Hel"));
  text += form.take(0, DeltaOf(0, "lo <tool_call>{\"name\": \"f\", \"arguments\": {\"a\""));
  text += form.take(0, DeltaOf(0, ": 1}}</tool_call>"));
  text += form.take(0, FinishedOf(0));
  text += form.end(absl::OkStatus());
  EXPECT_THAT(text, StartsWith("event: response.created\ndata: {\"type\":\"response.created\""));
  const std::vector<Json> events = EventsOf(text);
  EXPECT_THAT(
      TypesOf(events),
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.delta", "response.output_text.done",
                  "response.content_part.done", "response.output_item.done",
                  "response.output_item.added", "response.function_call_arguments.delta",
                  "response.function_call_arguments.delta", "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["sequence_number"], i);
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(events[4]["delta"], "Hel");
  EXPECT_EQ(events[6]["text"], "Hello");
  EXPECT_EQ(events[9]["output_index"], 1);
  EXPECT_EQ(events[12]["arguments"], R"({"a":1})");
  EXPECT_EQ(events[14]["response"]["output"].size(), 2u);
  EXPECT_EQ(events[14]["response"]["output"][0]["status"], "completed");
}

TEST(ResponsesAnswerTest, LogprobsComeWithTheText) {
  ApiCall call = CallOf(true);
  call.call.fields.logprobs = 1;
  AnswerForm form = ResponseForm(call);
  form.take(0, DeltaOf(0, "A", IdOf("A")));
  form.take(0, FinishedOf(0));
  const Json part = form.body()["output"][0]["content"][0];
  EXPECT_EQ(part["logprobs"][0]["token"], "A");
}

TEST(ResponsesAnswerTest, AFailureIsAnEventOfItsOwn) {
  AnswerForm form = ResponseForm(CallOf(true, true));
  std::string text = form.take(0, DeltaOf(0, "a"));
  text = form.end(absl::AbortedError("a rank was lost"));
  EXPECT_THAT(text, HasSubstr("response.failed"));
  EXPECT_EQ(EventsOf(text)[0]["response"]["error"]["message"], "a rank was lost");
}

}  // namespace
}  // namespace sdar
