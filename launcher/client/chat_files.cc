// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

using sdar::v1::Chat;
using sdar::v1::ChatMessage;

constexpr size_t kMaxFileBytes = size_t{16} << 20;

absl::Status Refused(const std::string& path, size_t index, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": entry ", index + 1, ": expected ", expected));
}

absl::StatusOr<Json> ReadList(const std::string& path) {
  SDAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  SDAR_ASSIGN_OR_RETURN(Json list, ParseJson(text, path));
  if (!list.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected a list, got ", list.type_name()));
  }
  return list;
}

// The string at `key`; empty if it is absent or null.
absl::StatusOr<std::string> TextAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  return absl::InvalidArgumentError(absl::StrCat("'", key, "' as text"));
}

absl::Status FillMessage(const Json& json, ChatMessage& message) {
  if (!json.is_object()) return absl::InvalidArgumentError("an object");
  SDAR_ASSIGN_OR_RETURN(*message.mutable_role(), TextAt(json, "role"));
  if (message.role().empty()) return absl::InvalidArgumentError("a 'role'");
  SDAR_ASSIGN_OR_RETURN(*message.mutable_content(), TextAt(json, "content"));
  if (json.contains("reasoning_content")) {
    SDAR_ASSIGN_OR_RETURN(*message.mutable_reasoning_content(), TextAt(json, "reasoning_content"));
  }
  const auto calls = json.find("tool_calls");
  if (calls == json.end() || calls->is_null()) return absl::OkStatus();
  if (!calls->is_array()) return absl::InvalidArgumentError("'tool_calls' as a list");
  message.set_tool_calls_json(DumpJson(*calls));
  return absl::OkStatus();
}

Json JsonOf(const ChatMessage& message) {
  Json out = {{"role", message.role()}, {"content", message.content()}};
  if (message.has_reasoning_content()) out["reasoning_content"] = message.reasoning_content();
  if (message.tool_calls_json().empty()) return out;
  // They were read from JSON.
  absl::StatusOr<Json> calls = ParseJson(message.tool_calls_json(), "tool_calls");
  if (calls.ok()) out["tool_calls"] = *std::move(calls);
  return out;
}

}  // namespace

absl::StatusOr<std::string> ReadTools(const std::string& path) {
  SDAR_ASSIGN_OR_RETURN(const Json list, ReadList(path));
  for (size_t i = 0; i < list.size(); ++i) {
    const Json& tool = list[i];
    const bool is_function = tool.is_object() && tool.contains("function") &&
                             tool["function"].is_object() && tool["function"].contains("name") &&
                             tool["function"]["name"].is_string();
    if (!is_function) {
      return Refused(path, i,
                     R"(a tool such as {"type": "function", "function": {"name": "..."}})");
    }
  }
  return DumpJson(list);
}

absl::StatusOr<Chat> ReadMessages(const std::string& path) {
  SDAR_ASSIGN_OR_RETURN(const Json list, ReadList(path));
  Chat chat;
  for (size_t i = 0; i < list.size(); ++i) {
    const absl::Status filled = FillMessage(list[i], *chat.add_messages());
    if (!filled.ok()) return Refused(path, i, filled.message());
  }
  return chat;
}

absl::Status WriteMessages(const Chat& chat, const std::string& path) {
  std::string text;
  for (const ChatMessage& message : chat.messages()) {
    absl::StrAppend(&text, text.empty() ? "[" : ",\n ", DumpJson(JsonOf(message)));
  }
  absl::StrAppend(&text, text.empty() ? "[" : "", "]\n");
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
  file << text << std::flush;
  file.close();
  std::error_code failed;
  if (file) std::filesystem::rename(fresh, path, failed);
  if (file && !failed) return absl::OkStatus();
  const std::string reason = failed ? failed.message() : std::strerror(errno);
  std::filesystem::remove(fresh, failed);
  return absl::UnknownError(absl::StrCat(path, ": ", reason));
}

}  // namespace sdar
