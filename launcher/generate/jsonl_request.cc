// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/jsonl_request.h"

#include <string>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/request/request_json.h"

namespace sdar {
namespace {

bool IsInputField(const std::string& key) {
  return key == "id" || key == "prompt" || key == "prompt_ids" || key == "messages" ||
         key == "tools" || key == "enable_thinking" || key == "add_generation_prompt" ||
         key == "chat_template";
}

absl::StatusOr<std::vector<TokenId>> ReadChat(const Json& record, const TextCodec& text) {
  ChatRequest chat;
  chat.messages = record["messages"];
  if (record.contains("tools")) chat.tools = record["tools"];
  if (record.contains("enable_thinking")) {
    chat.variables["enable_thinking"] = record["enable_thinking"];
  }
  if (record.contains("add_generation_prompt")) {
    SDAR_RETURN_IF_ERROR(ReadValue(record["add_generation_prompt"], chat.add_generation_prompt));
  }
  if (record.contains("chat_template")) {
    SDAR_RETURN_IF_ERROR(ReadValue(record["chat_template"], chat.template_name));
  }
  return text.EncodeChat(chat);
}

absl::StatusOr<std::vector<TokenId>> ReadPrompt(const Json& record, const TextCodec& text) {
  const bool chat = record.contains("messages");
  const int given = static_cast<int>(record.contains("prompt")) +
                    static_cast<int>(record.contains("prompt_ids")) + static_cast<int>(chat);
  if (given != 1) {
    return absl::InvalidArgumentError("expected exactly one of prompt, prompt_ids and messages");
  }
  for (const char* key : {"tools", "enable_thinking", "add_generation_prompt", "chat_template"}) {
    if (!chat && record.contains(key)) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": only with messages"));
    }
  }
  if (chat) return ReadChat(record, text);
  if (record.contains("prompt")) {
    std::string prompt;
    SDAR_RETURN_IF_ERROR(ReadValue(record["prompt"], prompt));
    return text.EncodePrompt(prompt);
  }
  std::vector<TokenId> ids;
  SDAR_RETURN_IF_ERROR(ReadValue(record["prompt_ids"], ids));
  return ids;
}

}  // namespace

Json IdOfLine(const Json& record, int line_number) {
  const auto id = record.is_object() ? record.find("id") : record.end();
  return id == record.end() || id->is_null() ? Json(line_number) : *id;
}

absl::StatusOr<JsonlRequest> ParseJsonlRequest(absl::string_view line, int line_number,
                                               const TextCodec& text, Json& id) {
  id = line_number;
  SDAR_ASSIGN_OR_RETURN(const Json record, ParseJson(line, "the line"));
  if (!record.is_object()) return Mistyped("an object", record);
  id = IdOfLine(record, line_number);
  JsonlRequest request;
  request.id = id;
  const auto readers = RequestFieldReaders(request.fields);
  for (const auto& [key, value] : record.items()) {
    if (IsInputField(key)) continue;
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field '", Shorten(key), "'"));
    }
    if (value.is_null()) continue;
    if (const absl::Status status = reader->second(value); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
    }
  }
  if (request.fields.structure && record.value("enable_thinking", Json()) == true) {
    request.fields.structure->after_thinking = true;
  }
  SDAR_ASSIGN_OR_RETURN(request.prompt, ReadPrompt(record, text));
  return request;
}

}  // namespace sdar
