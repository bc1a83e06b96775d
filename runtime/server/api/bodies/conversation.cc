// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/conversation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/body_fields.h"

namespace sdar {
namespace {

// Text after what is there, on a line of its own.
void AppendLine(std::string text, Json& to) {
  if (!to.is_string() || to.get_ref<const std::string&>().empty()) {
    to = std::move(text);
  } else {
    absl::StrAppend(&to.get_ref<std::string&>(), "\n", text);
  }
}

}  // namespace

void Conversation::AddText(absl::string_view role, std::string text) {
  messages_.push_back({{"role", std::string(role)}, {"content", std::move(text)}});
}

bool Conversation::ends_with_assistant() const {
  return !messages_.empty() && messages_.back()["role"] == "assistant";
}

Json& Conversation::Assistant() {
  if (!ends_with_assistant()) AddText("assistant", "");
  return messages_.back();
}

void Conversation::AddAssistantText(std::string text) {
  AppendLine(std::move(text), Assistant()["content"]);
}

void Conversation::AddReasoning(std::string text) {
  AppendLine(std::move(text), Assistant()["reasoning_content"]);
}

void Conversation::AddToolCall(absl::string_view id, absl::string_view name,
                               std::string arguments) {
  Json call = {{"id", std::string(id)},
               {"type", "function"},
               {"function", {{"name", std::string(name)}, {"arguments", std::move(arguments)}}}};
  Assistant()["tool_calls"].push_back(std::move(call));
}

void Conversation::AddToolResult(absl::string_view id, std::string text) {
  messages_.push_back(
      {{"role", "tool"}, {"tool_call_id", std::string(id)}, {"content", std::move(text)}});
}

absl::StatusOr<std::string> ReadTextMember(absl::string_view field, const Json& object,
                                           const char* name) {
  const Json value = object.is_object() ? object.value(name, Json()) : Json();
  std::string out;
  SDAR_RETURN_IF_ERROR(InField(absl::StrCat(field, ".", name), ReadValue(value, out)));
  return out;
}

absl::StatusOr<std::string> ReadTextPart(absl::string_view field, const Json& part,
                                         absl::Span<const absl::string_view> types) {
  SDAR_ASSIGN_OR_RETURN(const std::string type, ReadTextMember(field, part, "type"));
  if (std::find(types.begin(), types.end(), type) == types.end()) {
    return InField(
        absl::StrCat(field, ".type"),
        Mistyped(absl::StrCat("\"", types[0], "\": the model reads text alone"), Json(type)));
  }
  return ReadTextMember(field, part, "text");
}

absl::StatusOr<std::string> ReadText(absl::string_view field, const Json& content,
                                     absl::Span<const absl::string_view> types) {
  if (content.is_null()) return std::string();
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return InField(field, Mistyped("a text or a list of parts", content));
  std::string out;
  for (size_t i = 0; i < content.size(); ++i) {
    SDAR_ASSIGN_OR_RETURN(const std::string text,
                          ReadTextPart(absl::StrCat(field, "[", i, "]"), content[i], types));
    absl::StrAppend(&out, i > 0 ? "\n" : "", text);
  }
  return out;
}

absl::StatusOr<Json> ReadTool(absl::string_view field, const Json& tool, const char* schema_name) {
  SDAR_ASSIGN_OR_RETURN(std::string name, ReadTextMember(field, tool, "name"));
  Json function = {{"name", std::move(name)}};
  const Json description = tool.value("description", Json());
  if (description.is_string()) function["description"] = description;
  const Json schema = tool.value(schema_name, Json());
  if (!schema.is_null() && !schema.is_object()) {
    return InField(absl::StrCat(field, ".", schema_name), Mistyped("an object", schema));
  }
  function["parameters"] = schema.is_null() ? Json::object() : schema;
  return Json{{"type", "function"}, {"function", std::move(function)}};
}

}  // namespace sdar
