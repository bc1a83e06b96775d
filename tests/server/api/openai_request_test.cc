// SPDX-License-Identifier: Apache-2.0
// Which bodies are taken, as what, and which are refused by which name.
#include "runtime/server/api/bodies/openai_request.h"

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

absl::StatusOr<ApiCall> Chat(const std::string& fields) {
  const std::string body = R"({"messages": [{"role": "user", "content": "Hi"}])" +
                           (fields.empty() ? "" : ", " + fields) + "}";
  return ParseChatCompletion(*ParseJson(body, "body"), Models(), Codec());
}

absl::StatusOr<ApiCall> Completion(const std::string& body) {
  return ParseCompletion(*ParseJson(body, "body"), Models(), Codec());
}

std::string TextOf(const ApiCall& call) {
  return Codec().tokenizer().Decode(call.prompts[0], false);
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
      {R"("temperature": "hot")", "temperature: expected a number"},
      {R"("response_format": {"type": "json_schema"})", "response_format: "},
      {R"("tool_choice": "required")", "tool_choice: "},
      {R"("tools": 3)", "tools: "},
      {R"("parallel_tool_calls": 1)", "parallel_tool_calls: "},
      {R"("n": 2, "best_of": 3)", "best_of: expected as many as n, 2"},
      {R"("continue_final_message": true)", "continue_final_message: expected false"},
      {R"("guided_grammar": "x")", "guided_grammar: expected null"},
      {R"("functions": [{}])", "functions: "},
      {R"("top_logprobs": 3)", "top_logprobs: only with logprobs"},
      {R"("logprobs": 3)", "logprobs: expected true or false"},
      {R"("stream_options": {"include_usage": true})", "stream_options: only with stream"},
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
  EXPECT_EQ(Completion(R"({"prompt": ["Hi"]})")->prompts, text->prompts);
  EXPECT_THAT(Completion(R"({"prompt": [1, 2]})")->prompts, ElementsAre(ElementsAre(1, 2)));
}

TEST(OpenAiRequestTest, ACompletionMayHaveManyPrompts) {
  EXPECT_THAT(Completion(R"({"prompt": [[1, 2], [3]]})")->prompts,
              ElementsAre(ElementsAre(1, 2), ElementsAre(3)));
  const auto texts = Completion(R"({"prompt": ["Hi", "there"]})");
  ASSERT_THAT(texts, IsOk());
  ASSERT_EQ(texts->prompts.size(), 2u);
  EXPECT_EQ(Codec().tokenizer().Decode(texts->prompts[1], false), "there");
  std::string many = "[1]";
  for (size_t i = 1; i <= kMaxPrompts; ++i) many += ",[1]";
  EXPECT_THAT(Completion("{\"prompt\": [" + many + "]}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "prompt: expected at most 1024 prompts, got 1025"));
}

TEST(OpenAiRequestTest, ACompletionMayAskAboutItsPrompts) {
  const auto echo = Completion(R"({"prompt": "a", "echo": true, "logprobs": 3})");
  ASSERT_THAT(echo, IsOk());
  EXPECT_TRUE(echo->scores_prompts());
  EXPECT_TRUE(echo->generates);
  EXPECT_EQ(echo->call.score_fields.top_logprobs, 3);
  EXPECT_FALSE(Completion(R"({"prompt": "a", "echo": true})")->scores_prompts());
  const auto scores = Completion(R"({"prompt": "a", "max_tokens": 0, "prompt_logprobs": 5})");
  ASSERT_THAT(scores, IsOk());
  EXPECT_TRUE(scores->scores_prompts());
  EXPECT_FALSE(scores->generates);
  EXPECT_EQ(scores->call.score_fields.top_logprobs, 5);
  EXPECT_THAT(Completion(R"({"prompt": "a", "prompt_logprobs": 21})"),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("prompt_logprobs: ")));
}

// lm-eval drops the last of the log-probabilities as that of the generated token.
TEST(OpenAiRequestTest, AnEchoWithLogprobsAndOneTokenHasThatTokenEvenIfItIsAnEndToken) {
  const auto ignores_eos = [](const char* body) {
    const auto call = Completion(body);
    return call.ok() && call->call.fields.ignore_eos.value_or(false);
  };
  EXPECT_TRUE(ignores_eos(R"({"prompt": "a", "echo": true, "logprobs": 1, "max_tokens": 1})"));
  EXPECT_FALSE(ignores_eos(R"({"prompt": "a", "echo": true, "logprobs": 1, "max_tokens": 2})"));
  EXPECT_FALSE(ignores_eos(R"({"prompt": "a", "echo": true, "max_tokens": 1})"));
  EXPECT_FALSE(ignores_eos(R"({"prompt": "a", "logprobs": 1, "max_tokens": 1})"));
}

// As vllm-router, guidellm, lm-eval and others send them.
TEST(OpenAiRequestTest, FieldsThatAskForWhatIsDoneAnywayAreTaken) {
  const auto chat = Chat(
      R"("stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true,
      "include_obfuscation": false}, "best_of": 1, "functions": [], "function_call": null,
      "top_logprobs": 0, "top_k": -1, "seed": -1, "store": true, "reasoning_effort": "low",
      "verbosity": "low", "modalities": ["text"], "prediction": null, "cache_salt": "s",
      "spaces_between_special_tokens": true, "include_stop_str_in_output": false,
      "return_token_ids": null, "no_stop_trim": false, "continue_final_message": false,
      "separate_reasoning": true, "stream_reasoning": true, "return_hidden_states": false,
      "include_reasoning": true, "skip_special_tokens": true, "ignore_eos": false, "logit_bias": {},
      "stop": [], "stop_token_ids": [], "audio": null, "length_penalty": 1.0)");
  ASSERT_THAT(chat, IsOk());
  EXPECT_THAT(chat->unknown_fields, ::testing::IsEmpty());
  EXPECT_TRUE(chat->continuous_usage);
  EXPECT_EQ(chat->call.fields.top_k, 0);
  EXPECT_FALSE(chat->call.fields.seed.has_value());
  const auto completion =
      Completion(R"({"prompt": "a", "echo": false, "suffix": null, "best_of": 1})");
  ASSERT_THAT(completion, IsOk());
  EXPECT_THAT(completion->unknown_fields, ::testing::IsEmpty());
}

TEST(OpenAiRequestTest, FieldsThatNobodyKnowsAreReported) {
  const auto call = Chat(R"("frobnicate": 1, "stream": true, "stream_options": {"x": 1})");
  ASSERT_THAT(call, IsOk());
  EXPECT_THAT(call->unknown_fields, ElementsAre("stream_options.x", "frobnicate"));
}

TEST(OpenAiRequestTest, OneToolCallIsAllThatIsWrittenWhereThatIsEnough) {
  const auto call = Chat(
      R"("parallel_tool_calls": false, "tools": [{"type": "function", "function": {"name": "f"}}])");
  ASSERT_THAT(call, IsOk());
  EXPECT_TRUE(call->one_tool_call);
  EXPECT_THAT(call->call.fields.stop, ElementsAre("</tool_call>"));
  const auto without = Chat(R"("parallel_tool_calls": false)");
  ASSERT_THAT(without, IsOk());
  EXPECT_THAT(without->call.fields.stop, ::testing::IsEmpty());
}

TEST(OpenAiRequestTest, CompletionsThatCannotBeAreRefusedByTheFieldsName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "prompt: "},
      {R"({"prompt": ["a", 1]})", "prompt: "},
      {R"({"prompt": [[1], "x"], "best_of": 3})", "best_of: "},
      {R"({"prompt": "a", "echo": 1})", "echo: "},
      {R"({"prompt": "a", "suffix": "b"})", "suffix: "},
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
       {"\"model\":\"" + text + "\"", "\"temperature\":\"" + text + "\"",
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

TEST(OpenAiRequestTest, NamesOfUnknownFieldsAreShortAndFew) {
  const auto call = Chat("\"" + std::string(1000, 'x') + "\":1," + ManyFields("f", 900));
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(call->unknown_fields.size(), 32u);
  EXPECT_LT(call->unknown_fields[0].size(), 100u);
}

}  // namespace
}  // namespace sdar
