// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/output_splitter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"

namespace sdar {
namespace {

constexpr absl::string_view kThink = "<think>";
constexpr absl::string_view kThinkEnd = "</think>";
constexpr absl::string_view kToolCall = "<tool_call>";
constexpr absl::string_view kToolCallEnd = "</tool_call>";

// Where the longest end of `text` begins that begins `mark`; its size where there is none.
size_t MaybeMark(absl::string_view text, absl::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (absl::EndsWith(text, mark.substr(0, n))) return text.size() - n;
  }
  return text.size();
}

size_t LeadingSpace(absl::string_view text) {
  return text.size() - absl::StripLeadingAsciiWhitespace(text).size();
}

size_t WithoutTrailingSpace(absl::string_view text) {
  return absl::StripTrailingAsciiWhitespace(text).size();
}

// {"name": .., "arguments": {..}}; arguments may be a string that holds the object.
std::optional<ToolCall> ParseToolCall(absl::string_view body) {
  const absl::StatusOr<Json> json = ParseJson(body, "tool call");
  if (!json.ok() || !json->is_object() || !json->contains("name")) return std::nullopt;
  const Json& name = (*json)["name"];
  if (!name.is_string()) return std::nullopt;
  const Json arguments = json->value("arguments", Json::object());
  if (arguments.is_object()) return ToolCall{name.get<std::string>(), DumpJson(arguments)};
  if (arguments.is_string()) return ToolCall{name.get<std::string>(), arguments.get<std::string>()};
  return std::nullopt;
}

}  // namespace

OutputSplitter::OutputSplitter(const Options& options)
    : options_(options), part_(options.starts_in_reasoning ? Part::kReasoning : Part::kStart) {}

OutputPiece OutputSplitter::Push(absl::string_view text) {
  absl::StrAppend(&held_, text);
  OutputPiece out;
  while (Advance(out)) {
  }
  return out;
}

// False when more text is needed to go on.
bool OutputSplitter::Advance(OutputPiece& out) {
  switch (part_) {
    case Part::kStart:
      return TakeStart();
    case Part::kReasoning:
      return TakeReasoning(out);
    case Part::kContent:
      return TakeContent(out);
    case Part::kToolCall:
      return TakeToolCall(out);
  }
  return false;
}

bool OutputSplitter::TakeStart() {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(held_);
  if (absl::StartsWith(kThink, text) && text.size() < kThink.size()) return false;
  if (absl::StartsWith(text, kThink)) {
    held_.erase(0, held_.size() - text.size() + kThink.size());
    part_ = Part::kReasoning;
    at_edge_ = true;
  } else {
    part_ = Part::kContent;
  }
  return true;
}

bool OutputSplitter::TakeReasoning(OutputPiece& out) {
  if (at_edge_) {
    held_.erase(0, LeadingSpace(held_));
    if (held_.empty()) return false;
    at_edge_ = false;
  }
  const size_t end = absl::string_view(held_).find(kThinkEnd);
  const absl::string_view held = held_;
  // White space in front of the end belongs to the mark.
  const size_t certain = end != absl::string_view::npos ? end : MaybeMark(held, kThinkEnd);
  const size_t length = WithoutTrailingSpace(held.substr(0, certain));
  out.reasoning.append(held_, 0, length);
  if (end == absl::string_view::npos) {
    held_.erase(0, length);
    return false;
  }
  held_.erase(0, end + kThinkEnd.size());
  part_ = Part::kContent;
  at_edge_ = true;
  return true;
}

// How much of what is held is content whatever comes.
size_t OutputSplitter::ContentEnd() const {
  if (!options_.tool_calls) return held_.size();
  const size_t mark = absl::string_view(held_).find(kToolCall);
  const size_t certain = mark != absl::string_view::npos ? mark : MaybeMark(held_, kToolCall);
  return WithoutTrailingSpace(absl::string_view(held_).substr(0, certain));
}

bool OutputSplitter::TakeContent(OutputPiece& out) {
  if (at_edge_) {
    held_.erase(0, LeadingSpace(held_));
    if (held_.empty()) return false;
    at_edge_ = false;
  }
  const size_t mark =
      options_.tool_calls ? absl::string_view(held_).find(kToolCall) : absl::string_view::npos;
  const size_t length = ContentEnd();
  out.content.append(held_, 0, length);
  if (mark == absl::string_view::npos) {
    held_.erase(0, length);
    return false;
  }
  opening_ = held_.substr(length, mark + kToolCall.size() - length);
  held_.erase(0, mark + kToolCall.size());
  part_ = Part::kToolCall;
  return true;
}

bool OutputSplitter::TakeToolCall(OutputPiece& out) {
  const size_t end = absl::string_view(held_).find(kToolCallEnd);
  if (end == absl::string_view::npos) return false;
  const std::string body = held_.substr(0, end);
  held_.erase(0, end + kToolCallEnd.size());
  part_ = Part::kContent;
  EndToolCall(body, out);
  return true;
}

void OutputSplitter::EndToolCall(absl::string_view body, OutputPiece& out) {
  if (std::optional<ToolCall> call = ParseToolCall(body)) {
    out.tool_calls.push_back(*std::move(call));
    at_edge_ = true;
  } else {
    absl::StrAppend(&out.content, opening_, body, kToolCallEnd);
  }
}

OutputPiece OutputSplitter::Flush() {
  OutputPiece out;
  std::string rest = std::exchange(held_, std::string());
  switch (part_) {
    case Part::kReasoning:
      out.reasoning = std::move(rest);
      break;
    case Part::kToolCall:
      out.content = absl::StrCat(opening_, rest);
      break;
    default:
      if (!at_edge_) out.content = std::move(rest);
  }
  return out;
}

}  // namespace sdar
