// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/openai_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/body_fields.h"
#include "runtime/server/api/bodies/known_fields.h"

namespace sdar {
namespace {

absl::Status TakeModel(Json& body, absl::Span<const std::string> models, std::string& out) {
  out = models.front();
  SDAR_RETURN_IF_ERROR(TakeInto(body, "model", out));
  if (std::find(models.begin(), models.end(), out) != models.end()) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("model: expected '", models.front(), "', got '", Shorten(out), "'"));
}

absl::Status TakeStreamOptions(Json& body, ApiCall& out) {
  constexpr char kField[] = "stream_options";
  Json options = TakeField(body, kField);
  if (options.is_null()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(CheckFields(kField, options));
  if (!out.stream) return absl::InvalidArgumentError("stream_options: only with stream");
  SDAR_RETURN_IF_ERROR(InField(kField, TakeInto(options, "include_usage", out.include_usage)));
  SDAR_RETURN_IF_ERROR(
      InField(kField, TakeInto(options, "continuous_usage_stats", out.continuous_usage)));
  // Bytes that hide how long tokens are from who sees the traffic; answers here have none.
  options.erase("include_obfuscation");
  NoteRest(options, kField, out.unknown_fields);
  return absl::OkStatus();
}

// Ways of saying "as you like" that this server says by leaving the field out, or otherwise.
void TranslateDefaults(Json& body) {
  const auto top_k = body.find("top_k");
  if (top_k != body.end() && *top_k == -1) *top_k = 0;
  const auto seed = body.find("seed");
  if (seed != body.end() && *seed == -1) body.erase(seed);
  for (const char* list : {"logit_bias", "stop", "stop_token_ids"}) {
    const auto found = body.find(list);
    if (found != body.end() && found->is_structured() && found->empty()) body.erase(found);
  }
}

// Of several candidates the best: those asked for are all there are.
absl::Status CheckBestOf(const Json& best_of, const RequestFields& fields) {
  const int64_t n = fields.n.value_or(1);
  if (best_of.is_null() || best_of == n) return absl::OkStatus();
  return InField("best_of", Mistyped(absl::StrCat("as many as n, ", n), best_of));
}

absl::Status TakeChatLogprobs(Json& body, RequestFields& fields) {
  bool wanted = false;
  std::optional<int64_t> top;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "logprobs", wanted));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "top_logprobs", top));
  if (top.value_or(0) != 0 && !wanted) {
    return absl::InvalidArgumentError("top_logprobs: only with logprobs");
  }
  if (wanted) fields.logprobs = top.value_or(0);
  return absl::OkStatus();
}

absl::StatusOr<Json> TakeMessages(Json& body) {
  Json messages = TakeField(body, "messages");
  if (!messages.is_array() || messages.empty()) {
    return InField("messages", Mistyped("a list of messages", messages));
  }
  return messages;
}

absl::Status TakeVariables(Json& body, ChatRequest& chat) {
  constexpr char kField[] = "chat_template_kwargs";
  Json variables = TakeField(body, kField);
  if (!variables.is_null() && !variables.is_object()) {
    return InField(kField, Mistyped("an object", variables));
  }
  if (variables.size() > kMaxChatVariables) {
    return absl::InvalidArgumentError(absl::StrCat(kField, ": expected at most ", kMaxChatVariables,
                                                   " names, got ", variables.size()));
  }
  if (variables.is_object()) chat.variables = std::move(variables);
  std::optional<bool> thinking;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "enable_thinking", thinking));
  if (thinking) chat.variables["enable_thinking"] = *thinking;
  return absl::OkStatus();
}

// A list of texts or of lists of ids, one text, or one list of ids.
absl::Status TakePrompts(Json& body, const TextCodec& text, ApiCall& out) {
  constexpr char kExpected[] = "a text, a list of token ids, or a list of either";
  Json prompt = TakeField(body, "prompt");
  const bool many =
      prompt.is_array() && !prompt.empty() && (prompt[0].is_string() || prompt[0].is_array());
  if (!many) prompt = Json::array({std::move(prompt)});
  if (prompt.size() > kMaxPrompts) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt: expected at most ", kMaxPrompts, " prompts, got ", prompt.size()));
  }
  for (const Json& one : prompt) {
    std::vector<TokenId>& ids = out.prompts.emplace_back();
    if (one.is_string()) {
      SDAR_ASSIGN_OR_RETURN(ids, text.EncodePrompt(one.get_ref<const std::string&>()));
    } else if (!ReadValue(one, ids).ok()) {
      return InField("prompt", Mistyped(kExpected, one));
    }
  }
  return absl::OkStatus();
}

absl::Status TakePromptLogprobs(Json& body, ApiCall& out) {
  constexpr char kField[] = "prompt_logprobs";
  SDAR_RETURN_IF_ERROR(TakeInto(body, kField, out.prompt_logprobs));
  const int64_t count = out.prompt_logprobs.value_or(0);
  if (count >= 0 && count <= kMaxTopLogprobs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kField, ": expected 0 .. ", kMaxTopLogprobs, ", got ", count));
}

// Zero: nothing is generated.
void TakeZeroTokens(ApiCall& out) {
  RequestFields& fields = out.call.fields;
  if (fields.max_tokens != 0) return;
  out.generates = false;
  fields.max_tokens.reset();
  fields.min_tokens.reset();
}

// Harnesses score a text by its echo and one generated token, whose log-probability they drop as
// the last of the list. So the list has one for it, even where the model would end the text.
void KeepOneEchoedToken(ApiCall& out) {
  RequestFields& fields = out.call.fields;
  if (out.echo && fields.logprobs && fields.max_tokens == 1) fields.ignore_eos = true;
}

}  // namespace

absl::Status TakeCommonFields(Json& body, absl::Span<const std::string> models, ApiCall& out) {
  SDAR_RETURN_IF_ERROR(CheckFields("the body", body));
  SDAR_RETURN_IF_ERROR(TakeModel(body, models, out.model));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "stream", out.stream));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "request_id", out.call.request_id));
  return TakeInto(body, "provisional", out.call.provisional);
}

absl::Status TakeRequestFields(Json& body, ApiCall& out) {
  SDAR_RETURN_IF_ERROR(DropKnownFields(body));
  Json max_tokens = TakeField(body, "max_completion_tokens");
  if (!max_tokens.is_null()) body["max_tokens"] = std::move(max_tokens);
  TranslateDefaults(body);
  const Json best_of = TakeField(body, "best_of");
  SDAR_RETURN_IF_ERROR(ReadRest(body, RequestFieldReaders(out.call.fields), out.unknown_fields));
  return CheckBestOf(best_of, out.call.fields);
}

absl::StatusOr<ApiChat> TakeChat(Json& body) {
  ApiChat out;
  ChatRequest& chat = out.request;
  SDAR_ASSIGN_OR_RETURN(chat.messages, TakeMessages(body));
  SDAR_ASSIGN_OR_RETURN(out.choice, TakeToolChoice(body));
  Json tools = TakeField(body, "tools");
  if (!tools.is_null() && !tools.is_array()) return InField("tools", Mistyped("a list", tools));
  if (out.choice.may_call && !tools.empty()) chat.tools = std::move(tools);
  SDAR_RETURN_IF_ERROR(TakeVariables(body, chat));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "add_generation_prompt", chat.add_generation_prompt));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "chat_template", chat.template_name));
  return out;
}

absl::Status SetChat(const ApiChat& api_chat, const TextCodec& text, ApiCall& out) {
  out.chat = true;
  const ChatRequest& chat = api_chat.request;
  RequestFields& fields = out.call.fields;
  SDAR_RETURN_IF_ERROR(SetToolStructure(chat.tools, api_chat.choice, fields.structure));
  if (fields.structure && chat.variables.value("enable_thinking", Json()) == true) {
    fields.structure->after_thinking = true;
  }
  auto prompt = text.RenderChat(chat);
  if (!prompt.ok()) {
    // Most of its errors name their field.
    const absl::string_view what = prompt.status().message();
    const bool names =
        absl::StartsWith(what, "messages") || absl::StartsWith(what, "chat_template");
    return names ? prompt.status() : InField("messages", prompt.status());
  }
  SDAR_ASSIGN_OR_RETURN(out.prompts.emplace_back(), text.EncodePrompt(*prompt));
  out.splitting.tool_calls = !chat.tools.is_null();
  out.splitting.stream_tool_calls = out.stream;
  out.splitting.starts_in_reasoning =
      absl::EndsWith(absl::StripTrailingAsciiWhitespace(*prompt), "<think>");
  out.one_tool_call = out.splitting.tool_calls && !api_chat.choice.parallel_calls;
  if (out.one_tool_call && !fields.structure) fields.stop.emplace_back(kToolCallEnd);
  return absl::OkStatus();
}

absl::StatusOr<ApiCall> ParseChatCompletion(Json rest, absl::Span<const std::string> models,
                                            const TextCodec& text) {
  ApiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommonFields(rest, models, out));
  SDAR_RETURN_IF_ERROR(TakeStreamOptions(rest, out));
  SDAR_ASSIGN_OR_RETURN(ApiChat chat, TakeChat(rest));
  SDAR_RETURN_IF_ERROR(TakeInto(rest, "parallel_tool_calls", chat.choice.parallel_calls));
  SDAR_RETURN_IF_ERROR(TakeInto(rest, "return_token_ids", out.return_token_ids));
  SDAR_RETURN_IF_ERROR(TakeChatLogprobs(rest, out.call.fields));
  SDAR_RETURN_IF_ERROR(TakeRequestFields(rest, out));
  SDAR_RETURN_IF_ERROR(SetChat(chat, text, out));
  return out;
}

absl::StatusOr<ApiCall> ParseCompletion(Json rest, absl::Span<const std::string> models,
                                        const TextCodec& text) {
  ApiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommonFields(rest, models, out));
  SDAR_RETURN_IF_ERROR(TakeStreamOptions(rest, out));
  SDAR_RETURN_IF_ERROR(TakeInto(rest, "echo", out.echo));
  SDAR_RETURN_IF_ERROR(TakePromptLogprobs(rest, out));
  SDAR_RETURN_IF_ERROR(TakeInto(rest, "return_token_ids", out.return_token_ids));
  SDAR_RETURN_IF_ERROR(TakePrompts(rest, text, out));
  SDAR_RETURN_IF_ERROR(TakeRequestFields(rest, out));
  TakeZeroTokens(out);
  KeepOneEchoedToken(out);
  ScoreFields& scores = out.call.score_fields;
  scores.block_length = out.call.fields.block_length;
  scores.priority = out.call.fields.priority;
  scores.top_logprobs =
      std::max(out.call.fields.logprobs.value_or(0), out.prompt_logprobs.value_or(0));
  return out;
}

}  // namespace sdar
