// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/chat_messages.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr absl::string_view kArguments = "arguments";
constexpr absl::string_view kRoles[] = {"system", "user", "assistant", "tool"};

absl::Status BadMessage(const std::string& message) { return absl::InvalidArgumentError(message); }

// Whether the word after `before` is a member: x.word, or x['word'].
bool IsMember(absl::string_view before) {
  if (absl::EndsWith(before, ".")) return true;
  return absl::EndsWith(before, "['") || absl::EndsWith(before, "[\"");
}

// What follows a use of a variable: past the quote and bracket of a subscript, and white space.
absl::string_view AfterUse(absl::string_view source) {
  const size_t at = source.find_first_not_of("'\"] \t\n");
  return at == absl::string_view::npos ? "" : source.substr(at);
}

// True where `source` prints arguments without a filter, joins them with text, or asks whether they
// are text.
bool TakesTextArguments(absl::string_view source) {
  for (size_t at = source.find(kArguments); at != absl::string_view::npos;
       at = source.find(kArguments, at + kArguments.size())) {
    if (!IsMember(source.substr(0, at))) continue;
    const absl::string_view rest = AfterUse(source.substr(at + kArguments.size()));
    for (const absl::string_view use : {"is string", "}}", "-}}", "+", "~"}) {
      if (absl::StartsWith(rest, use)) return true;
    }
  }
  return false;
}

// Where a quoted word at the end of `before` would be an operand: of == or !=, or of a list that is
// no subscript.
bool IsOperand(absl::string_view before) {
  before = absl::StripTrailingAsciiWhitespace(before);
  if (absl::EndsWith(before, "=") || absl::EndsWith(before, ",")) return true;
  if (!absl::EndsWith(before, "[") && !absl::EndsWith(before, "(")) return false;
  before.remove_suffix(1);
  return absl::EndsWith(absl::StripTrailingAsciiWhitespace(before), " in");
}

// The quoted words of `source` that are operands.
absl::flat_hash_set<std::string> ComparedWords(absl::string_view source) {
  constexpr size_t kLongestWord = 64;
  constexpr size_t kMostSpace = 256;  // that is looked at before a word
  absl::flat_hash_set<std::string> words;
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] != '\'' && source[at] != '"') continue;
    const absl::string_view rest = source.substr(at + 1, kLongestWord + 1);
    const size_t end = rest.find(source[at]);
    if (end == absl::string_view::npos) continue;
    const size_t begin = at > kMostSpace ? at - kMostSpace : 0;
    if (IsOperand(source.substr(begin, at - begin))) words.emplace(rest.substr(0, end));
  }
  return words;
}

// The texts of content parts, joined.
absl::StatusOr<std::string> JoinParts(const Json& parts, const std::string& where) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Json& part = parts[i];
    const bool typed = part.is_object() && part.contains("type") && part["type"].is_string();
    const std::string which = absl::StrCat(where, "[", i, "]");
    if (!typed) return BadMessage(which + ": expected an object with a type");
    if (part["type"] != "text") {
      return BadMessage(absl::StrCat(which, ": expected the type text, got '",
                                     Shorten(part["type"].get_ref<const std::string&>()),
                                     "' (not supported)"));
    }
    if (!part.contains("text") || !part["text"].is_string()) {
      return BadMessage(which + ".text: expected a string");
    }
    absl::StrAppend(&text, i == 0 ? "" : "\n", part["text"].get_ref<const std::string&>());
  }
  return text;
}

absl::Status ReadRole(const TemplateTraits& traits, const std::string& where, Json& message) {
  if (!message.contains("role") || !message["role"].is_string()) {
    return BadMessage(
        absl::StrCat(where, ".role: expected a string, got ",
                     message.contains("role") ? message["role"].type_name() : "none"));
  }
  const auto& role = message["role"].get_ref<const std::string&>();
  if (std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles)) {
    return absl::OkStatus();
  }
  if (traits.KnowsRole(role)) return absl::OkStatus();
  if (role != "developer") {
    return BadMessage(
        absl::StrCat(where, ".role: expected system, developer, user, assistant or tool, got '",
                     Shorten(role), "', which the model's chat template does not know"));
  }
  message["role"] = "system";
  return absl::OkStatus();
}

absl::Status ReadContent(const std::string& where, Json& message) {
  Json& content = message["content"];
  if (content.is_null()) content = "";
  if (content.is_string()) return absl::OkStatus();
  if (!content.is_array()) {
    return BadMessage(absl::StrCat(
        where, ".content: expected a string, null or a list of parts, got ", content.type_name()));
  }
  SDAR_ASSIGN_OR_RETURN(std::string text, JoinParts(content, where + ".content"));
  content = std::move(text);
  return absl::OkStatus();
}

// Reads one call's arguments where they are text; the texts of all calls share `values_left`.
absl::Status ReadArguments(const std::string& where, size_t& values_left, Json& call) {
  if (!call.is_object()) {
    return BadMessage(absl::StrCat(where, ": expected an object, got ", call.type_name()));
  }
  Json& function =
      call.contains("function") && call["function"].is_object() ? call["function"] : call;
  const auto arguments = function.find("arguments");
  if (arguments == function.end() || !arguments->is_string()) return absl::OkStatus();
  const auto& text = arguments->get_ref<const std::string&>();
  if (text.empty()) {
    *arguments = Json::object();
    return absl::OkStatus();
  }
  constexpr int kMaxDepth = 64;
  SDAR_ASSIGN_OR_RETURN(Json value, ParseJson(text, absl::StrCat(where, ".function.arguments"),
                                              kMaxDepth, false, values_left));
  values_left -= CountJsonValues(value);
  if (!value.is_object()) {
    return BadMessage(
        absl::StrCat(where, ".function.arguments: expected a JSON object, got ", Shorten(text)));
  }
  *arguments = std::move(value);
  return absl::OkStatus();
}

absl::Status ReadToolCalls(const std::string& where, size_t& values_left, Json& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return absl::OkStatus();
  for (size_t i = 0; i < calls->size(); ++i) {
    SDAR_RETURN_IF_ERROR(
        ReadArguments(absl::StrCat(where, ".tool_calls[", i, "]"), values_left, (*calls)[i]));
  }
  return absl::OkStatus();
}

}  // namespace

TemplateTraits::TemplateTraits(absl::string_view source)
    : words_(ComparedWords(source)), takes_text_arguments_(TakesTextArguments(source)) {}

absl::StatusOr<Json> ReadMessages(const Json& messages, const TemplateTraits& traits) {
  if (!messages.is_array()) return BadMessage("messages is not a list");
  if (messages.empty()) return BadMessage("messages is empty");
  Json out = messages;
  size_t values_left = kMaxJsonValues;
  for (size_t i = 0; i < out.size(); ++i) {
    const std::string where = absl::StrCat("messages[", i, "]");
    if (!out[i].is_object()) {
      return BadMessage(absl::StrCat(where, ": expected an object, got ", out[i].type_name()));
    }
    SDAR_RETURN_IF_ERROR(ReadRole(traits, where, out[i]));
    SDAR_RETURN_IF_ERROR(ReadContent(where, out[i]));
    if (traits.takes_text_arguments()) continue;
    SDAR_RETURN_IF_ERROR(ReadToolCalls(where, values_left, out[i]));
  }
  return out;
}

}  // namespace sdar
