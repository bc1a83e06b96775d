// SPDX-License-Identifier: Apache-2.0
// Which bodies are taken, as what, and which are refused by which name.
#include "runtime/server/http/openai_request.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

// In the manner of Qwen3's template, in short.
constexpr char kTemplate[] =
    "{%- if tools %}{{- '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content }}"
    "{%- for call in message.tool_calls or [] %}"
    "{{- '<tool_call>' + call.function.name + call.function.arguments + '</tool_call>' }}"
    "{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- elif open_thinking is defined %}{{- '<think>\\n' }}"
    "{%- endif %}";

// The tokenizer of sdar-tiny with the template above.
TextCodec MakeCodec() {
  namespace fs = std::filesystem;
  std::string pattern = ::testing::TempDir() + "sdar-XXXXXX";
  const fs::path folder = mkdtemp(pattern.data());
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
    fs::copy(fs::path(SDAR_SOURCE_DIR) / "models/sdar-tiny" / file, folder / file);
  }
  std::ofstream(folder / "chat_template.jinja") << kTemplate;
  TextCodec codec = *TextCodec::Load(folder);
  fs::remove_all(folder);
  return codec;
}

const TextCodec& Codec() {
  static const TextCodec codec = MakeCodec();
  return codec;
}

const std::vector<std::string>& Models() {
  static const std::vector<std::string> models = {"tiny", "alias"};
  return models;
}

absl::StatusOr<OpenAiCall> Chat(const std::string& fields) {
  const std::string body = R"({"messages": [{"role": "user", "content": "Hi"}])" +
                           (fields.empty() ? "" : ", " + fields) + "}";
  return ParseChatCompletion(*ParseJson(body, "body"), Models(), Codec());
}

absl::StatusOr<OpenAiCall> Completion(const std::string& body) {
  return ParseCompletion(*ParseJson(body, "body"), Models(), Codec());
}

std::string TextOf(const OpenAiCall& call) {
  return Codec().tokenizer().Decode(call.call.prompt, false);
}

TEST(OpenAiRequestTest, AChatIsWhatTheTemplateMakesOfIt) {
  const auto call = Chat("");
  ASSERT_THAT(call, IsOk());
  EXPECT_TRUE(call->chat);
  EXPECT_FALSE(call->stream);
  EXPECT_EQ(call->model, "tiny");
  EXPECT_EQ(TextOf(*call), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_FALSE(call->splitting.tool_calls);
  EXPECT_FALSE(call->call.fields.logprobs.has_value());
}

TEST(OpenAiRequestTest, TakesOpenAisFieldsAndTheServersOwn) {
  const auto call =
      Chat(R"("model": "alias", "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9,
      "n": 2, "stop": "x", "seed": 3, "logit_bias": {"5": -1}, "presence_penalty": 0.1,
      "frequency_penalty": 0.2, "logprobs": true, "top_logprobs": 4, "user": "me", "metadata": {"a": "b"},
      "stream": true, "stream_options": {"include_usage": true}, "response_format": {"type": "text"},
      "top_k": 20, "min_p": 0.1, "block_length": 8, "denoising_steps": 2,
      "remasking_strategy": "sequential", "confidence_threshold": 0.8, "entropy_bound": 0.4,
      "priority": 2, "drafts": "auto", "provisional": true, "request_id": "r", "ignore_eos": null)");
  ASSERT_THAT(call, IsOk());
  const RequestFields& fields = call->call.fields;
  EXPECT_EQ(call->model, "alias");
  EXPECT_TRUE(call->stream);
  EXPECT_TRUE(call->include_usage);
  EXPECT_TRUE(call->call.provisional);
  EXPECT_EQ(call->call.request_id, "r");
  EXPECT_EQ(fields.max_tokens, 7);
  EXPECT_EQ(fields.temperature, 0.5);
  EXPECT_EQ(fields.n, 2);
  EXPECT_THAT(fields.stop, ElementsAre("x"));
  EXPECT_EQ(fields.seed, 3u);
  EXPECT_THAT(fields.logit_bias, ElementsAre(std::pair<TokenId, float>(5, -1)));
  EXPECT_EQ(fields.logprobs, 4);
  EXPECT_EQ(fields.top_k, 20);
  EXPECT_EQ(fields.block_length, 8);
  EXPECT_EQ(fields.denoising_steps, 2);
  EXPECT_EQ(fields.remasking_strategy, RemaskingStrategy::kSequential);
  EXPECT_EQ(fields.priority, 2);
  EXPECT_EQ(fields.drafts, DraftCount{kAutomaticDrafts});
  EXPECT_FALSE(fields.ignore_eos.has_value());
}

TEST(OpenAiRequestTest, LogprobsOfAChatWithoutANumberAreThoseOfTheTokens) {
  EXPECT_EQ(Chat(R"("logprobs": true)")->call.fields.logprobs, 0);
  EXPECT_FALSE(Chat(R"("logprobs": false)")->call.fields.logprobs.has_value());
}

TEST(OpenAiRequestTest, ToolsAreShownUnlessTheyAreNotToBeCalled) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}])";
  const auto called = Chat(tools);
  ASSERT_THAT(called, IsOk());
  EXPECT_TRUE(called->splitting.tool_calls);
  EXPECT_NE(TextOf(*called).find("weather"), std::string::npos);
  const auto none = Chat(tools + R"(, "tool_choice": "none")");
  ASSERT_THAT(none, IsOk());
  EXPECT_FALSE(none->splitting.tool_calls);
  EXPECT_EQ(TextOf(*none), TextOf(*Chat("")));
}

TEST(OpenAiRequestTest, ThinkingIsSwitchedOffInEitherWay) {
  const auto plain = Chat(R"("enable_thinking": false)");
  ASSERT_THAT(plain, IsOk());
  EXPECT_NE(TextOf(*plain), TextOf(*Chat("")));
  const auto nested = Chat(R"("chat_template_kwargs": {"enable_thinking": false})");
  ASSERT_THAT(nested, IsOk());
  EXPECT_EQ(TextOf(*nested), TextOf(*plain));
  EXPECT_FALSE(plain->splitting.starts_in_reasoning);
}

TEST(OpenAiRequestTest, ATemplateThatOpensTheThinkingIsNoticed) {
  EXPECT_TRUE(
      Chat(R"("chat_template_kwargs": {"open_thinking": 1})")->splitting.starts_in_reasoning);
}

TEST(OpenAiRequestTest, ContentMayBePartsAndMayBeMissingBesideToolCalls) {
  const auto call = ParseChatCompletion(
      *ParseJson(R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
           "function": {"name": "f", "arguments": "{}"}}]},
          {"role": "tool", "tool_call_id": "1", "content": "4"}]})",
                 "body"),
      Models(), Codec());
  ASSERT_THAT(call, IsOk());
  EXPECT_NE(TextOf(*call).find("<tool_call>"), std::string::npos);
}

TEST(OpenAiRequestTest, ChatsThatCannotBeAreRefusedByTheFieldsName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("frobnicate": 1)", "frobnicate: "},
      {R"("temperature": "hot")", "temperature: expected a number"},
      {R"("response_format": {"type": "json_schema"})", "response_format: "},
      {R"("tool_choice": "required")", "tool_choice: "},
      {R"("tools": 3)", "tools: "},
      {R"("parallel_tool_calls": false)", "parallel_tool_calls: "},
      {R"("top_logprobs": 3)", "top_logprobs: only with logprobs"},
      {R"("logprobs": 3)", "logprobs: expected true or false"},
      {R"("stream_options": {"include_usage": true})", "stream_options: only with stream"},
      {R"("stream": true, "stream_options": {"x": 1})", "stream_options: unknown field 'x'"},
      {R"("stream": 1)", "stream: "},
      {R"("chat_template_kwargs": 1)", "chat_template_kwargs: "},
      {R"("chat_template": 1)", "chat_template: "},
      {R"("topk": 3, "top_k": 3)", "top"},
  };
  for (const auto& [fields, named] : cases) {
    EXPECT_THAT(Chat(fields), StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << fields;
  }
  EXPECT_THAT(Chat(R"("model": "other")"),
              StatusIs(absl::StatusCode::kNotFound, StartsWith("model: ")));
}

TEST(OpenAiRequestTest, MessagesThatCannotBeAreRefusedByTheirNumber) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "messages: "},
      {R"({"messages": []})", "messages: "},
      {R"({"messages": [3]})", "messages[0]: "},
      {R"({"messages": [{"role": "user", "content": "a"}, {"content": "b"}]})",
       "messages[1].role: "},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "messages[0].content[0]: "},
      {R"({"messages": [{"role": "critic", "content": "a"}]})", "messages[0].role: "},
      {R"({"messages": [{"role": "user"}], "chat_template": "{{ 1 }}"})", "chat_template: "},
      {R"([])", "the body: "},
  };
  for (const auto& [body, named] : cases) {
    EXPECT_THAT(ParseChatCompletion(*ParseJson(body, "body"), Models(), Codec()),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << body;
  }
}

TEST(OpenAiRequestTest, ACompletionGoesOnWithATextOrWithIds) {
  const auto text = Completion(R"({"prompt": "Hi", "logprobs": 2, "max_tokens": 3})");
  ASSERT_THAT(text, IsOk());
  EXPECT_FALSE(text->chat);
  EXPECT_EQ(TextOf(*text), "Hi");
  EXPECT_EQ(text->call.fields.logprobs, 2);
  EXPECT_EQ(Completion(R"({"prompt": ["Hi"]})")->call.prompt, text->call.prompt);
  EXPECT_THAT(Completion(R"({"prompt": [1, 2]})")->call.prompt, ElementsAre(1, 2));
}

TEST(OpenAiRequestTest, CompletionsThatCannotBeAreRefusedByTheFieldsName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "prompt: "},
      {R"({"prompt": ["a", "b"]})", "prompt: "},
      {R"({"prompt": "a", "echo": true})", "echo: "},
      {R"({"prompt": "a", "suffix": "b"})", "suffix: "},
      {R"({"prompt": "a", "messages": []})", "messages: "},
  };
  for (const auto& [body, named] : cases) {
    EXPECT_THAT(Completion(body), StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(named)))
        << body;
  }
}

// Fields named "PREFIX0", "PREFIX1" and so on.
std::string ManyFields(const std::string& prefix, int count) {
  std::string fields;
  for (int i = 0; i < count; ++i) {
    fields += (i == 0 ? "\"" : ",\"") + prefix + std::to_string(i) + "\":0";
  }
  return fields;
}

TEST(OpenAiRequestTest, BodiesOfVeryManyFieldsAreRefusedAtOnce) {
  const std::string many = ManyFields("f", 2000);
  EXPECT_THAT(Chat(many), StatusIs(absl::StatusCode::kInvalidArgument,
                                   StartsWith("the body: expected at most 1000 fields")));
  EXPECT_THAT(Completion("{" + many + "}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("the body: expected at most 1000 fields, got 2000")));
  EXPECT_THAT(Chat("\"stream\":true,\"stream_options\":{" + many + "}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("stream_options: expected at most 1000 fields")));
}

TEST(OpenAiRequestTest, TemplateVariablesAreCounted) {
  EXPECT_THAT(Chat("\"chat_template_kwargs\":{" + ManyFields("v", 256) + "}"), IsOk());
  EXPECT_THAT(Chat("\"chat_template_kwargs\":{" + ManyFields("v", 257) + "}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "chat_template_kwargs: expected at most 256 names, got 257"));
}

TEST(OpenAiRequestTest, ErrorsQuoteOnlyTheStartOfWhatTheyRefuse) {
  const std::string text(1000000, 'x');
  for (const std::string& fields :
       {"\"" + text + "\":1", "\"model\":\"" + text + "\"", "\"temperature\":\"" + text + "\"",
        "\"stream\":true,\"stream_options\":{\"" + text + "\":1}",
        "\"remasking_strategy\":\"" + text + "\"", "\"drafts\":\"" + text + "\"",
        "\"logit_bias\":{\"" + text + "\":1}", "\"tool_choice\":\"" + text + "\"",
        "\"response_format\":{\"type\":\"" + text + "\"}", "\"tools\":\"" + text + "\"",
        "\"chat_template_kwargs\":[\"" + text + "\"]",
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"" + text + "\"}]}]",
        "\"messages\":[\"" + text + "\"]", "\"stop_token_ids\":[\"" + text + "\"]"}) {
    const absl::Status status = Chat(fields).status();
    EXPECT_FALSE(status.ok()) << fields.substr(0, 40);
    EXPECT_LE(status.message().size(), 400u) << fields.substr(0, 40);
  }
}

}  // namespace
}  // namespace sdar
