// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/openai_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/request/request_json.h"

namespace sdar {
namespace {

// Members of the body and of stream_options. Finding or removing one walks over all of them.
constexpr size_t kMaxFields = 1000;

absl::Status InField(absl::string_view field, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(field, ": ", status.message()));
}

// The value of a field, which is removed; null when it is absent.
Json Take(Json& body, const char* field) {
  const auto found = body.find(field);
  if (found == body.end()) return nullptr;
  Json value = std::move(*found);
  body.erase(found);
  return value;
}

// Reads a field that is there into `out`.
template <typename T>
absl::Status TakeInto(Json& body, const char* field, T& out) {
  const Json value = Take(body, field);
  if (value.is_null()) return absl::OkStatus();
  return InField(field, ReadValue(value, out));
}

// Refuses a field unless it is absent or has the one value that asks for what is done anyway.
absl::Status TakeOnly(Json& body, const char* field, const Json& only) {
  const Json value = Take(body, field);
  if (value.is_null() || value == only) return absl::OkStatus();
  return InField(field,
                 Mistyped(absl::StrCat(DumpJson(only), ", nothing else is supported"), value));
}

// What says something of the client or the account, not of the answer.
void DropBystanders(Json& body) {
  for (const char* field :
       {"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier"}) {
    body.erase(field);
  }
}

absl::Status TakeModel(Json& body, absl::Span<const std::string> models, std::string& out) {
  out = models.front();
  SDAR_RETURN_IF_ERROR(TakeInto(body, "model", out));
  if (std::find(models.begin(), models.end(), out) != models.end()) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("model: expected '", models.front(), "', got '", Shorten(out), "'"));
}

absl::Status CheckFields(absl::string_view name, const Json& fields) {
  if (!fields.is_object()) return InField(name, Mistyped("an object", fields));
  if (fields.size() <= kMaxFields) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": expected at most ", kMaxFields, " fields, got ", fields.size()));
}

absl::Status TakeStreaming(Json& body, OpenAiCall& out) {
  SDAR_RETURN_IF_ERROR(TakeInto(body, "stream", out.stream));
  Json options = Take(body, "stream_options");
  if (options.is_null()) return absl::OkStatus();
  if (!out.stream) return absl::InvalidArgumentError("stream_options: only with stream");
  SDAR_RETURN_IF_ERROR(CheckFields("stream_options", options));
  SDAR_RETURN_IF_ERROR(
      InField("stream_options", TakeInto(options, "include_usage", out.include_usage)));
  if (options.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("stream_options: unknown field '", Shorten(options.begin().key()), "'"));
}

// All that is left of the body.
absl::Status TakeSampling(Json& body, RequestFields& fields) {
  const Json max_tokens = Take(body, "max_completion_tokens");
  if (!max_tokens.is_null()) body["max_tokens"] = max_tokens;
  const auto readers = RequestFieldReaders(fields);
  for (const auto& [key, value] : body.items()) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Shorten(key), ": it is not known or not supported"));
    }
    if (!value.is_null()) SDAR_RETURN_IF_ERROR(InField(key, reader->second(value)));
  }
  return absl::OkStatus();
}

absl::Status TakeChatLogprobs(Json& body, RequestFields& fields) {
  bool wanted = false;
  std::optional<int64_t> top;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "logprobs", wanted));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "top_logprobs", top));
  if (top && !wanted) return absl::InvalidArgumentError("top_logprobs: only with logprobs");
  if (wanted) fields.logprobs = top.value_or(0);
  return absl::OkStatus();
}

// What OpenAI's API has and this server has not, but for the value that asks for nothing.
absl::Status TakeUnsupported(Json& body) {
  SDAR_RETURN_IF_ERROR(TakeOnly(body, "response_format", {{"type", "text"}}));
  SDAR_RETURN_IF_ERROR(TakeOnly(body, "parallel_tool_calls", true));
  return TakeOnly(body, "store", false);
}

absl::Status TakeCommon(Json& body, absl::Span<const std::string> models, OpenAiCall& out) {
  SDAR_RETURN_IF_ERROR(CheckFields("the body", body));
  SDAR_RETURN_IF_ERROR(TakeModel(body, models, out.model));
  SDAR_RETURN_IF_ERROR(TakeStreaming(body, out));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "request_id", out.call.request_id));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "provisional", out.call.provisional));
  DropBystanders(body);
  return absl::OkStatus();
}

absl::StatusOr<Json> TakeMessages(Json& body) {
  Json messages = Take(body, "messages");
  if (!messages.is_array() || messages.empty()) {
    return InField("messages", Mistyped("a list of messages", messages));
  }
  return messages;
}

// True when the model may call them.
absl::StatusOr<bool> TakeToolChoice(Json& body) {
  const Json choice = Take(body, "tool_choice");
  if (choice.is_null() || choice == "auto") return true;
  if (choice == "none") return false;
  return InField("tool_choice", Mistyped("\"auto\" or \"none\"", choice));
}

}  // namespace

absl::StatusOr<ChatRequest> TakeChat(Json& body) {
  ChatRequest chat;
  SDAR_ASSIGN_OR_RETURN(chat.messages, TakeMessages(body));
  SDAR_ASSIGN_OR_RETURN(const bool may_call, TakeToolChoice(body));
  Json tools = Take(body, "tools");
  if (!tools.is_null() && !tools.is_array()) return InField("tools", Mistyped("a list", tools));
  if (may_call && !tools.empty()) chat.tools = std::move(tools);
  Json variables = Take(body, "chat_template_kwargs");
  if (!variables.is_null() && !variables.is_object()) {
    return InField("chat_template_kwargs", Mistyped("an object", variables));
  }
  if (variables.size() > kMaxChatVariables) {
    return absl::InvalidArgumentError(absl::StrCat("chat_template_kwargs: expected at most ",
                                                   kMaxChatVariables, " names, got ",
                                                   variables.size()));
  }
  if (variables.is_object()) chat.variables = std::move(variables);
  std::optional<bool> thinking;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "enable_thinking", thinking));
  if (thinking) chat.variables["enable_thinking"] = *thinking;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "add_generation_prompt", chat.add_generation_prompt));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "chat_template", chat.template_name));
  return chat;
}

absl::StatusOr<OpenAiCall> ParseChatCompletion(Json rest, absl::Span<const std::string> models,
                                               const TextCodec& text) {
  OpenAiCall out;
  out.chat = true;
  SDAR_RETURN_IF_ERROR(TakeCommon(rest, models, out));
  SDAR_ASSIGN_OR_RETURN(const ChatRequest chat, TakeChat(rest));
  SDAR_RETURN_IF_ERROR(TakeUnsupported(rest));
  SDAR_RETURN_IF_ERROR(TakeChatLogprobs(rest, out.call.fields));
  SDAR_RETURN_IF_ERROR(TakeSampling(rest, out.call.fields));
  auto prompt = text.RenderChat(chat);
  if (!prompt.ok()) {
    // Most of its errors name their field.
    const absl::string_view what = prompt.status().message();
    const bool names =
        absl::StartsWith(what, "messages") || absl::StartsWith(what, "chat_template");
    return names ? prompt.status() : InField("messages", prompt.status());
  }
  SDAR_ASSIGN_OR_RETURN(out.call.prompt, text.EncodePrompt(*prompt));
  out.splitting.tool_calls = !chat.tools.is_null();
  out.splitting.starts_in_reasoning =
      absl::EndsWith(absl::StripTrailingAsciiWhitespace(*prompt), "<think>");
  return out;
}

absl::StatusOr<OpenAiCall> ParseCompletion(Json rest, absl::Span<const std::string> models,
                                           const TextCodec& text) {
  OpenAiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommon(rest, models, out));
  Json prompt = Take(rest, "prompt");
  // A list of one text is how some clients write one.
  if (prompt.is_array() && prompt.size() == 1 && prompt[0].is_string())
    prompt = Json(std::move(prompt[0]));
  if (prompt.is_string()) {
    SDAR_ASSIGN_OR_RETURN(out.call.prompt, text.EncodePrompt(prompt.get_ref<const std::string&>()));
  } else if (!ReadValue(prompt, out.call.prompt).ok()) {
    return InField("prompt", Mistyped("one text or a list of token ids", prompt));
  }
  SDAR_RETURN_IF_ERROR(TakeOnly(rest, "echo", false));
  SDAR_RETURN_IF_ERROR(TakeSampling(rest, out.call.fields));
  return out;
}

}  // namespace sdar
