// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/responses_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/request/structure_json.h"
#include "runtime/server/api/bodies/body_fields.h"
#include "runtime/server/api/bodies/conversation.h"
#include "runtime/server/api/bodies/openai_request.h"

namespace sdar {
namespace {

constexpr absl::string_view kItemTextTypes[] = {"input_text", "output_text", "text"};
constexpr absl::string_view kReasoningTypes[] = {"reasoning_text", "summary_text"};
// Asks for the logprobs of the text, in "include".
constexpr char kLogprobs[] = "message.output_text.logprobs";

// Refuses a member unless it is null or has the one value that asks for what is done anyway.
absl::Status TakeOnly(Json& body, const char* field, const Json& only, absl::string_view why) {
  const Json value = TakeField(body, field);
  if (value.is_null() || value == only) return absl::OkStatus();
  return InField(field, Mistyped(absl::StrCat(DumpJson(only), ": ", why), value));
}

absl::Status AddMessageItem(const std::string& field, const Json& item, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string role, ReadTextMember(field, item, "role"));
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(absl::StrCat(field, ".content"),
                                                   item.value("content", Json()), kItemTextTypes));
  if (role == "assistant") {
    out.AddAssistantText(std::move(text));
  } else {
    out.AddText(role, std::move(text));
  }
  return absl::OkStatus();
}

absl::Status AddCallItem(const std::string& field, const Json& item, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string id, ReadTextMember(field, item, "call_id"));
  SDAR_ASSIGN_OR_RETURN(const std::string name, ReadTextMember(field, item, "name"));
  SDAR_ASSIGN_OR_RETURN(std::string arguments, ReadTextMember(field, item, "arguments"));
  out.AddToolCall(id, name, std::move(arguments));
  return absl::OkStatus();
}

absl::Status AddCallOutputItem(const std::string& field, const Json& item, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string id, ReadTextMember(field, item, "call_id"));
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(absl::StrCat(field, ".output"),
                                                   item.value("output", Json()), kItemTextTypes));
  out.AddToolResult(id, std::move(text));
  return absl::OkStatus();
}

// Reasoning that a client hands back is part of the assistant's turn, where its text is there.
absl::Status AddReasoningItem(const std::string& field, const Json& item, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(absl::StrCat(field, ".content"),
                                                   item.value("content", Json()), kReasoningTypes));
  if (!text.empty()) out.AddReasoning(std::move(text));
  return absl::OkStatus();
}

absl::Status AddItem(const std::string& field, const Json& item, Conversation& out) {
  if (!item.is_object()) return InField(field, Mistyped("an object", item));
  const Json type = item.value("type", Json("message"));
  if (type == "message") return AddMessageItem(field, item, out);
  if (type == "function_call") return AddCallItem(field, item, out);
  if (type == "function_call_output") return AddCallOutputItem(field, item, out);
  if (type == "reasoning") return AddReasoningItem(field, item, out);
  return InField(absl::StrCat(field, ".type"),
                 Mistyped("message, function_call, function_call_output or reasoning", type));
}

absl::StatusOr<Json> TakeInput(Json& body, ApiCall& call) {
  Conversation out;
  std::string instructions;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "instructions", instructions));
  call.repeated["instructions"] = instructions.empty() ? Json() : Json(instructions);
  if (!instructions.empty()) out.AddText("system", std::move(instructions));
  Json input = TakeField(body, "input");
  if (input.is_string()) {
    out.AddText("user", std::move(input.get_ref<std::string&>()));
    return out.TakeMessages();
  }
  if (!input.is_array() || input.empty()) {
    return InField("input", Mistyped("a text or a list of items", input));
  }
  for (size_t i = 0; i < input.size(); ++i) {
    SDAR_RETURN_IF_ERROR(AddItem(absl::StrCat("input[", i, "]"), input[i], out));
  }
  return out.TakeMessages();
}

absl::StatusOr<Json> TakeFunctionTools(Json& body, ApiCall& call) {
  const Json tools = TakeField(body, "tools");
  call.repeated["tools"] = tools.is_null() ? Json::array() : tools;
  Json out = Json::array();
  if (tools.is_null()) return out;
  if (!tools.is_array()) return InField("tools", Mistyped("a list", tools));
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string field = absl::StrCat("tools[", i, "]");
    SDAR_ASSIGN_OR_RETURN(const std::string type, ReadTextMember(field, tools[i], "type"));
    if (type != "function") {
      return InField(absl::StrCat(field, ".type"),
                     Mistyped("\"function\": the server has no tools of its own", Json(type)));
    }
    SDAR_ASSIGN_OR_RETURN(out.emplace_back(), ReadTool(field, tools[i], "parameters"));
  }
  return out;
}

// {"format": {"type": "text", "json_object" or "json_schema", ..}, "verbosity": ..}
absl::Status TakeTextOptions(Json& body, ApiCall& call) {
  Json options = TakeField(body, "text");
  call.repeated["text"] = {{"format", {{"type", "text"}}}};
  if (options.is_null()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(CheckFields("text", options));
  options.erase("verbosity");
  const Json format = TakeField(options, "format");
  if (!format.is_null()) {
    call.repeated["text"]["format"] = format;
    auto structure = ReadTextFormat(format);
    if (!structure.ok()) return InField("text", InField("format", structure.status()));
    call.call.fields.structure = *std::move(structure);
    if (call.call.fields.structure) call.call.fields.structure->field = "text";
  }
  NoteRest(options, "text", call.unknown_fields);
  return absl::OkStatus();
}

absl::Status TakeIncluded(Json& body, ApiCall& call) {
  std::vector<std::string> include;
  std::optional<int64_t> top;
  SDAR_RETURN_IF_ERROR(TakeInto(body, "include", include));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "top_logprobs", top));
  const bool wanted = std::find(include.begin(), include.end(), kLogprobs) != include.end();
  for (const std::string& name : include) {
    if (name != kLogprobs) NoteUnknown(absl::StrCat("include.", name), call.unknown_fields);
  }
  if (wanted || top.value_or(0) > 0) call.call.fields.logprobs = top.value_or(0);
  return absl::OkStatus();
}

absl::Status TakeUnstored(Json& body) {
  constexpr char kWhy[] = "nothing is stored here; send the whole conversation in input";
  for (const char* field : {"previous_response_id", "conversation", "prompt"}) {
    SDAR_RETURN_IF_ERROR(TakeOnly(body, field, nullptr, kWhy));
  }
  SDAR_RETURN_IF_ERROR(TakeOnly(body, "background", false, "answers are not stored"));
  SDAR_RETURN_IF_ERROR(
      TakeOnly(body, "truncation", "disabled", "nothing of the input is left out"));
  for (const char* field : {"reasoning", "max_tool_calls", "stream_options"}) body.erase(field);
  return absl::OkStatus();
}

// What the answer repeats of the request, where a response has it.
void Repeat(const Json& body, ApiCall& call) {
  for (const char* field : {"temperature", "top_p", "max_output_tokens", "metadata", "user",
                            "service_tier", "safety_identifier", "prompt_cache_key"}) {
    call.repeated[field] = body.value(field, Json());
  }
  if (call.repeated["metadata"].is_null()) call.repeated["metadata"] = Json::object();
}

}  // namespace

absl::StatusOr<ApiCall> ParseResponse(Json body, absl::Span<const std::string> models,
                                      const TextCodec& text) {
  ApiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommonFields(body, models, out));
  Repeat(body, out);
  SDAR_RETURN_IF_ERROR(TakeUnstored(body));
  SDAR_ASSIGN_OR_RETURN(body["messages"], TakeInput(body, out));
  SDAR_ASSIGN_OR_RETURN(body["tools"], TakeFunctionTools(body, out));
  out.repeated["tool_choice"] = body.value("tool_choice", Json("auto"));
  SDAR_ASSIGN_OR_RETURN(ApiChat chat, TakeChat(body));
  SDAR_RETURN_IF_ERROR(TakeInto(body, "parallel_tool_calls", chat.choice.parallel_calls));
  out.repeated["parallel_tool_calls"] = chat.choice.parallel_calls;
  for (const Json& tool : out.repeated["tools"]) {
    if (tool.value("strict", Json()) == true) chat.choice.strict = true;
  }
  SDAR_RETURN_IF_ERROR(TakeTextOptions(body, out));
  SDAR_RETURN_IF_ERROR(TakeIncluded(body, out));
  Json max_tokens = TakeField(body, "max_output_tokens");
  if (!max_tokens.is_null()) body["max_tokens"] = std::move(max_tokens);
  SDAR_RETURN_IF_ERROR(TakeRequestFields(body, out));
  if (out.samples_per_prompt() != 1) return absl::InvalidArgumentError("n: expected 1");
  SDAR_RETURN_IF_ERROR(SetChat(chat, text, out));
  return out;
}

}  // namespace sdar
