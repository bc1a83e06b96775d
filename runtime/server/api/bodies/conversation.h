// SPDX-License-Identifier: Apache-2.0
// Conversations of other APIs as chat templates take them: OpenAI's messages. Pure; any thread.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/json.h"

namespace sdar {

// Puts a conversation together, turn by turn.
class Conversation {
 public:
  // A turn of "system", "user" or another role.
  void AddText(absl::string_view role, std::string text);
  // A part of the assistant's turn: the last turn where that is the assistant's, else a new one.
  void AddAssistantText(std::string text);
  void AddReasoning(std::string text);
  // arguments: a JSON text.
  void AddToolCall(absl::string_view id, absl::string_view name, std::string arguments);
  void AddToolResult(absl::string_view id, std::string text);

  bool empty() const { return messages_.empty(); }
  bool ends_with_assistant() const;
  Json TakeMessages() { return std::move(messages_); }

 private:
  Json& Assistant();

  Json messages_ = Json::array();
};

// The text of `content`: a string, or a list of parts {"type", "text"} of the given types, joined
// by newlines; null for none. InvalidArgument names the part that has no text, in `field`.
absl::StatusOr<std::string> ReadText(absl::string_view field, const Json& content,
                                     absl::Span<const absl::string_view> types);

// The text of one such part.
absl::StatusOr<std::string> ReadTextPart(absl::string_view field, const Json& part,
                                         absl::Span<const absl::string_view> types);

// A string member; InvalidArgument names it, in `field`, where it is absent or something else.
absl::StatusOr<std::string> ReadTextMember(absl::string_view field, const Json& object,
                                           const char* name);

// A tool as OpenAI's chats have it, from an object with its name, description and the JSON schema
// of its arguments in `schema_name`.
absl::StatusOr<Json> ReadTool(absl::string_view field, const Json& tool, const char* schema_name);

}  // namespace sdar
