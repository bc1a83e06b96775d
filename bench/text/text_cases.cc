// SPDX-License-Identifier: Apache-2.0
#include "bench/text/text_cases.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "runtime/server/api/output_splitter.h"

namespace sdar {
namespace {

constexpr char kProse[] = "The quick brown fox, 42 years old, jumps over the lazy dog.\n";

using Maker = std::function<std::string(size_t)>;
using Reader = std::function<absl::Status(const std::string&)>;

// `head`, `part` over and over, `tail`.
Maker Repeating(std::string head, std::string part, std::string tail = "") {
  return [=](size_t size) {
    std::string text = head;
    while (text.size() + tail.size() < size) text += part;
    return text + tail;
  };
}

std::string ManyKeys(size_t size) {
  std::string text = "{\"\":0";
  for (size_t i = 0; text.size() < size; ++i) absl::StrAppend(&text, ",\"key", i, "\":", i);
  return text + "}";
}

// Half of the text are keys, the other half is the last of them over and over.
std::string LateKey(size_t size) {
  std::string text = "{\"\":0";
  size_t i = 0;
  for (; text.size() < size / 2; ++i) absl::StrAppend(&text, ",\"key", i, "\":0");
  while (text.size() < size) absl::StrAppend(&text, ",\"key", i - 1, "\":0");
  return text + "}";
}

void AddJson(std::vector<TextCase>& cases) {
  const Reader read = [](const std::string& text) {
    return ParseJson(text, "bench", 64, false, kMaxJsonFileValues).status();
  };
  cases.push_back({"JSON", "messages",
                   Repeating("[0", R"(,{"role":"user","content":"How are you today?"})", "]"),
                   read});
  cases.push_back({"JSON", "distinct keys", ManyKeys, read});
  cases.push_back({"JSON", "a late key repeated", LateKey, read});
  cases.push_back({"JSON", "empty lists", Repeating("[0", ",[]", "]"), read});
  cases.push_back({"JSON", "numbers", Repeating("[0", ",1", "]"), read});
}

void AddTemplate(const TextCodec& codec, std::vector<TextCase>& cases) {
  const Reader one_message = [&codec](const std::string& text) {
    ChatRequest chat;
    chat.messages = Json::array({{{"role", "user"}, {"content", text}}});
    return codec.RenderChat(chat).status();
  };
  const Reader many_messages = [&codec](const std::string& text) -> absl::Status {
    ChatRequest chat;
    SDAR_ASSIGN_OR_RETURN(chat.messages, ParseJson(text, "bench"));
    return codec.RenderChat(chat).status();
  };
  cases.push_back({"template", "one message of prose", Repeating("", kProse), one_message});
  cases.push_back(
      {"template", "one message of <think> marks", Repeating("", "</think><think>"), one_message});
  cases.push_back({"template", "short messages (with their JSON)",
                   Repeating(R"([{"role":"user","content":"Hi"})",
                             R"(,{"role":"assistant","content":"How are you today?"})", "]"),
                   many_messages});
}

void AddTokenizer(const TextCodec& codec, std::vector<TextCase>& cases) {
  const Reader read = [&codec](const std::string& text) {
    return codec.tokenizer().Encode(text).status();
  };
  const std::pair<const char*, const char*> inputs[] = {
      {"prose", kProse},
      {"one word: aaaa", "a"},
      {"one word: abcd...", "abcdefghijklmnopqrstuvwxyz"},
      {"spaces", " "},
      {"line breaks", "\n"},
      {"digits", "7"},
      {"control tokens", "<|im_start|>"},
      {"beginnings of control tokens", "<|im_start"},
      {"combining marks", "\u0323\u0301"},
      {"Chinese", "\u65e5\u672c\u8a9e"},
      {"bytes that are not UTF-8", "\xff"}};
  for (const auto& [name, part] : inputs) {
    cases.push_back({"tokenizer", name, Repeating("", part), read});
  }
}

void AddSplitter(std::vector<TextCase>& cases) {
  // As a stream brings it, a few bytes at a time.
  const Reader read = [](const std::string& text) {
    constexpr size_t kPiece = 4;
    OutputSplitter splitter({.starts_in_reasoning = false, .tool_calls = true});
    for (size_t i = 0; i < text.size(); i += kPiece) {
      splitter.Push(absl::string_view(text).substr(i, kPiece));
    }
    splitter.Flush();
    return absl::OkStatus();
  };
  cases.push_back({"output splitter", "prose", Repeating("", kProse), read});
  cases.push_back({"output splitter", "spaces", Repeating("", " "), read});
  cases.push_back(
      {"output splitter", "a call that does not end", Repeating("<tool_call>", "{"), read});
  cases.push_back({"output splitter", "beginnings of marks", Repeating("", "<tool_call"), read});
  cases.push_back({"output splitter", "calls",
                   Repeating("", "<tool_call>{\"name\":\"f\"}</tool_call>\n"), read});
}

void AddRequest(const TextCodec& codec, std::vector<TextCase>& cases) {
  const auto models = std::make_shared<std::vector<std::string>>(1, "bench");
  const Reader chat = [&codec, models](const std::string& text) -> absl::Status {
    SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(text, "the body"));
    return ParseChatCompletion(std::move(body), *models, codec).status();
  };
  const Reader completion = [&codec, models](const std::string& text) -> absl::Status {
    SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(text, "the body"));
    return ParseCompletion(std::move(body), *models, codec).status();
  };
  const std::string message = R"({"messages":[{"role":"user","content":"Hi"}],)";
  cases.push_back({"HTTP body", "one message of prose",
                   Repeating(R"({"messages":[{"role":"user","content":")",
                             "The quick brown fox, 42 years old. ", "\"}]}"),
                   chat});
  cases.push_back({"HTTP body", "token ids", Repeating("{\"prompt\":[1", ",2", "]}"), completion});
  cases.push_back({"HTTP body", "stop token ids",
                   Repeating(message + "\"stop_token_ids\":[1", ",2", "]}"), chat});
  // Refused, like all that has more fields or variables than are allowed.
  cases.push_back({"HTTP body", "unknown fields", ManyKeys, chat});
  cases.push_back({"HTTP body", "template variables",
                   [message](size_t size) {
                     return absl::StrCat(message, "\"chat_template_kwargs\":", ManyKeys(size), "}");
                   },
                   chat});
}

}  // namespace

std::vector<TextCase> MakeTextCases(const TextCodec& codec) {
  std::vector<TextCase> cases;
  AddJson(cases);
  AddTemplate(codec, cases);
  AddTokenizer(codec, cases);
  AddSplitter(cases);
  AddRequest(codec, cases);
  return cases;
}

}  // namespace sdar
