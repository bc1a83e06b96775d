// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/messages_request.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/body_fields.h"
#include "runtime/server/api/bodies/conversation.h"
#include "runtime/server/api/bodies/openai_request.h"

namespace sdar {
namespace {

constexpr absl::string_view kPartTextTypes[] = {"text"};

absl::Status AddResultPart(const std::string& field, const Json& part, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string id, ReadTextMember(field, part, "tool_use_id"));
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(absl::StrCat(field, ".content"),
                                                   part.value("content", Json()), kPartTextTypes));
  out.AddToolResult(id, std::move(text));
  return absl::OkStatus();
}

absl::Status AddUserPart(const std::string& field, const Json& part, Conversation& out,
                         std::string& text) {
  SDAR_ASSIGN_OR_RETURN(const std::string type, ReadTextMember(field, part, "type"));
  if (type == "tool_result") return AddResultPart(field, part, out);
  SDAR_ASSIGN_OR_RETURN(const std::string more, ReadTextPart(field, part, kPartTextTypes));
  absl::StrAppend(&text, text.empty() ? "" : "\n", more);
  return absl::OkStatus();
}

// Results of tools come first; the text is a turn of its own after them.
absl::Status AddUser(const std::string& field, const Json& content, Conversation& out) {
  if (!content.is_array()) {
    SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(field, content, kPartTextTypes));
    out.AddText("user", std::move(text));
    return absl::OkStatus();
  }
  std::string text;
  size_t results = 0;
  for (size_t i = 0; i < content.size(); ++i) {
    SDAR_RETURN_IF_ERROR(AddUserPart(absl::StrCat(field, "[", i, "]"), content[i], out, text));
    if (content[i]["type"] == "tool_result") ++results;
  }
  if (!text.empty() || results == 0) out.AddText("user", std::move(text));
  return absl::OkStatus();
}

absl::Status AddToolUse(const std::string& field, const Json& part, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string id, ReadTextMember(field, part, "id"));
  SDAR_ASSIGN_OR_RETURN(const std::string name, ReadTextMember(field, part, "name"));
  const Json input = part.value("input", Json::object());
  if (!input.is_object()) {
    return InField(absl::StrCat(field, ".input"), Mistyped("an object", input));
  }
  out.AddToolCall(id, name, DumpJson(input));
  return absl::OkStatus();
}

absl::Status AddAssistantPart(const std::string& field, const Json& part, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string type, ReadTextMember(field, part, "type"));
  if (type == "tool_use") return AddToolUse(field, part, out);
  if (type == "redacted_thinking") return absl::OkStatus();
  if (type == "thinking") {
    SDAR_ASSIGN_OR_RETURN(std::string thinking, ReadTextMember(field, part, "thinking"));
    out.AddReasoning(std::move(thinking));
    return absl::OkStatus();
  }
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadTextPart(field, part, kPartTextTypes));
  out.AddAssistantText(std::move(text));
  return absl::OkStatus();
}

absl::Status AddAssistant(const std::string& field, const Json& content, Conversation& out) {
  if (!content.is_array()) {
    SDAR_ASSIGN_OR_RETURN(std::string text, ReadText(field, content, kPartTextTypes));
    out.AddAssistantText(std::move(text));
    return absl::OkStatus();
  }
  for (size_t i = 0; i < content.size(); ++i) {
    SDAR_RETURN_IF_ERROR(AddAssistantPart(absl::StrCat(field, "[", i, "]"), content[i], out));
  }
  return absl::OkStatus();
}

absl::Status AddTurn(const std::string& field, const Json& message, Conversation& out) {
  SDAR_ASSIGN_OR_RETURN(const std::string role, ReadTextMember(field, message, "role"));
  const std::string place = absl::StrCat(field, ".content");
  const Json content = message.value("content", Json());
  if (role == "user") return AddUser(place, content, out);
  if (role == "assistant") return AddAssistant(place, content, out);
  return InField(absl::StrCat(field, ".role"), Mistyped("\"user\" or \"assistant\"", Json(role)));
}

absl::StatusOr<Json> TakeTurns(Json& body) {
  Conversation out;
  SDAR_ASSIGN_OR_RETURN(std::string system,
                        ReadText("system", TakeField(body, "system"), kPartTextTypes));
  if (!system.empty()) out.AddText("system", std::move(system));
  const Json messages = TakeField(body, "messages");
  if (!messages.is_array() || messages.empty()) {
    return InField("messages", Mistyped("a list of messages", messages));
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    SDAR_RETURN_IF_ERROR(AddTurn(absl::StrCat("messages[", i, "]"), messages[i], out));
  }
  if (out.ends_with_assistant()) {
    return absl::InvalidArgumentError(
        "messages: the last is the assistant's; an answer that has begun cannot be continued");
  }
  return out.TakeMessages();
}

absl::StatusOr<Json> TakeCustomTools(Json& body) {
  const Json tools = TakeField(body, "tools");
  Json out = Json::array();
  if (tools.is_null()) return out;
  if (!tools.is_array()) return InField("tools", Mistyped("a list", tools));
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string field = absl::StrCat("tools[", i, "]");
    SDAR_ASSIGN_OR_RETURN(out.emplace_back(), ReadTool(field, tools[i], "input_schema"));
    const Json type = tools[i].value("type", Json("custom"));
    if (type != "custom" && !type.is_null()) {
      return InField(absl::StrCat(field, ".type"),
                     Mistyped("\"custom\": the server has no tools of its own", type));
    }
  }
  return out;
}

// {"type": "auto", "any", "tool" or "none", "name": .., "disable_parallel_tool_use": ..}
absl::Status TakeChoiceOfTools(Json& body, bool& parallel_calls) {
  Json choice = TakeField(body, "tool_choice");
  if (choice.is_null()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(CheckFields("tool_choice", choice));
  bool one = false;
  SDAR_RETURN_IF_ERROR(InField("tool_choice", TakeInto(choice, "disable_parallel_tool_use", one)));
  parallel_calls = !one;
  const Json type = TakeField(choice, "type");
  if (type == "tool") {
    SDAR_ASSIGN_OR_RETURN(std::string name, ReadTextMember("tool_choice", choice, "name"));
    body["tool_choice"] = {{"type", "function"}, {"name", std::move(name)}};
    return absl::OkStatus();
  }
  if (type != "auto" && type != "any" && type != "none") {
    return InField("tool_choice.type", Mistyped("\"auto\", \"any\", \"tool\" or \"none\"", type));
  }
  body["tool_choice"] = type == "any" ? Json("required") : type;
  return absl::OkStatus();
}

// {"type": "enabled" or "disabled", ..}
absl::Status TakeThinking(Json& body) {
  const Json thinking = TakeField(body, "thinking");
  if (thinking.is_null()) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(const std::string type, ReadTextMember("thinking", thinking, "type"));
  body["enable_thinking"] = type != "disabled";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ApiCall> ParseMessages(Json body, absl::Span<const std::string> models,
                                      const TextCodec& text) {
  ApiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommonFields(body, models, out));
  SDAR_ASSIGN_OR_RETURN(Json messages, TakeTurns(body));
  body["messages"] = std::move(messages);
  SDAR_ASSIGN_OR_RETURN(Json tools, TakeCustomTools(body));
  body["tools"] = std::move(tools);
  bool parallel_calls = true;
  SDAR_RETURN_IF_ERROR(TakeChoiceOfTools(body, parallel_calls));
  SDAR_RETURN_IF_ERROR(TakeThinking(body));
  SDAR_ASSIGN_OR_RETURN(ApiChat chat, TakeChat(body));
  chat.choice.parallel_calls = parallel_calls;
  Json stop = TakeField(body, "stop_sequences");
  if (!stop.is_null()) body["stop"] = std::move(stop);
  SDAR_RETURN_IF_ERROR(TakeRequestFields(body, out));
  if (out.samples_per_prompt() != 1) return absl::InvalidArgumentError("n: expected 1");
  SDAR_RETURN_IF_ERROR(SetChat(chat, text, out));
  return out;
}

}  // namespace sdar
