// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/output_splitter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "runtime/server/api/json_members.h"

namespace sdar {
namespace {

constexpr absl::string_view kThink = "<think>";
constexpr absl::string_view kThinkEnd = "</think>";
constexpr absl::string_view kToolCall = "<tool_call>";

// Where the longest end of `text` begins that begins `mark`; its size where there is none.
size_t MaybeMark(absl::string_view text, absl::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (absl::EndsWith(text, mark.substr(0, n))) return text.size() - n;
  }
  return text.size();
}

// The string that `json` is.
std::optional<std::string> ReadString(const std::string& json) {
  const absl::StatusOr<Json> value = ParseJson(json, "tool call");
  if (!value.ok() || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

// {"name": .., "arguments": {..}}; arguments may be a string that holds the object. They are passed
// on as the model wrote them, so that no digit of a number is lost.
std::optional<ToolCall> ParseToolCall(absl::string_view body) {
  const auto members = ReadJsonMembers(body, "tool call");
  if (!members.ok()) return std::nullopt;
  std::optional<std::string> name;
  std::optional<std::string> arguments = "{}";
  for (const JsonMember& member : *members) {
    if (member.name == "name") name = ReadString(member.value);
    if (member.name != "arguments") continue;
    arguments = member.value[0] == '{' ? member.value : ReadString(member.value);
  }
  if (!name || name->empty() || !arguments) return std::nullopt;
  return ToolCall{*std::move(name), *std::move(arguments)};
}

}  // namespace

OutputSplitter::OutputSplitter(const Options& options)
    : options_(options), part_(options.starts_in_reasoning ? Part::kReasoning : Part::kStart) {}

OutputPiece OutputSplitter::Push(absl::string_view text) {
  absl::StrAppend(&held_, text);
  OutputPiece out;
  while (Advance(out)) {
  }
  // Moved at most once for every byte that was taken.
  if (begin_ >= held_.size() - begin_) held_.erase(0, std::exchange(begin_, 0));
  return out;
}

void OutputSplitter::Drop(size_t count) {
  begin_ += count;
  searched_ = 0;
  text_end_ = 0;
}

// Drops text of which nothing is searched again.
void OutputSplitter::DropSearched(size_t count) {
  begin_ += count;
  searched_ -= count;
  text_end_ = 0;
}

// Drops leading white space; false when nothing else is there.
bool OutputSplitter::DropSpace() {
  const size_t space = held().size() - absl::StripLeadingAsciiWhitespace(held()).size();
  bytes_read_ += space + 1;
  Drop(space);
  return !held().empty();
}

OutputSplitter::UpToMark OutputSplitter::FindMark(absl::string_view mark) {
  const absl::string_view text = held();
  UpToMark up_to;
  const size_t found = text.find(mark, searched_);
  up_to.found = found != absl::string_view::npos;
  up_to.mark = up_to.found ? found : searched_ + MaybeMark(text.substr(searched_), mark);
  const absl::string_view fresh = text.substr(searched_, up_to.mark - searched_);
  bytes_read_ += (up_to.found ? up_to.mark + mark.size() : text.size()) - searched_;
  const size_t fresh_end = absl::StripTrailingAsciiWhitespace(fresh).size();
  if (fresh_end > 0) text_end_ = searched_ + fresh_end;
  searched_ = up_to.mark;
  up_to.length = text_end_;
  return up_to;
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
      return maybe_streams_ ? TakeToolCallHead(out) : TakeToolCall(out);
    case Part::kArguments:
      return TakeArguments(out);
  }
  return false;
}

bool OutputSplitter::TakeStart() {
  // White space in front is content unless <think> follows; it is looked at once.
  const absl::string_view text = held();
  while (searched_ < text.size() &&
         absl::ascii_isspace(static_cast<unsigned char>(text[searched_]))) {
    ++searched_;
    ++bytes_read_;
  }
  const absl::string_view rest = text.substr(searched_);
  if (absl::StartsWith(kThink, rest) && rest.size() < kThink.size()) return false;
  if (absl::StartsWith(rest, kThink)) {
    Drop(searched_ + kThink.size());
    part_ = Part::kReasoning;
    at_edge_ = true;
  } else {
    searched_ = 0;
    part_ = Part::kContent;
  }
  return true;
}

bool OutputSplitter::TakeReasoning(OutputPiece& out) {
  if (at_edge_ && !DropSpace()) return false;
  at_edge_ = false;
  // White space in front of the end belongs to the mark.
  const UpToMark end = FindMark(kThinkEnd);
  absl::StrAppend(&out.reasoning, held().substr(0, end.length));
  if (!end.found) {
    DropSearched(end.length);
    return false;
  }
  Drop(end.mark + kThinkEnd.size());
  part_ = Part::kContent;
  at_edge_ = true;
  return true;
}

bool OutputSplitter::TakeContent(OutputPiece& out) {
  if (at_edge_ && !DropSpace()) return false;
  at_edge_ = false;
  if (!options_.tool_calls) {
    bytes_read_ += held().size();
    absl::StrAppend(&out.content, held());
    Drop(held().size());
    return false;
  }
  const UpToMark start = FindMark(kToolCall);
  absl::StrAppend(&out.content, held().substr(0, start.length));
  if (!start.found) {
    DropSearched(start.length);
    return false;
  }
  const size_t end = start.mark + kToolCall.size();
  opening_ = std::string(held().substr(start.length, end - start.length));
  Drop(end);
  part_ = Part::kToolCall;
  maybe_streams_ = options_.stream_tool_calls;
  return true;
}

// Until it is known whether the call can be streamed.
bool OutputSplitter::TakeToolCallHead(OutputPiece& out) {
  const size_t fresh = searched_;
  const UpToMark end = FindMark(kToolCallEnd);
  const absl::string_view text = held().substr(0, end.mark);
  // A head ends with a brace: without a new one there is nothing to see.
  const bool same = text.find('{', std::min(fresh, text.size())) == absl::string_view::npos;
  if (same && !end.found && text.size() < kMaxToolCallHead) return false;
  const ToolCallHead head = ReadToolCallHead(text);
  bytes_read_ += std::min(text.size(), kMaxToolCallHead);
  if (head.state == ToolCallHead::State::kIncomplete && !end.found) return false;
  maybe_streams_ = false;
  searched_ = 0;  // what comes next looks at the text anew
  text_end_ = 0;
  if (head.state != ToolCallHead::State::kFound) return true;
  out.tool_calls.push_back({head.name, ""});
  Drop(head.length);
  arguments_ = ArgumentsReader();
  part_ = Part::kArguments;
  return true;
}

bool OutputSplitter::TakeArguments(OutputPiece& out) {
  const UpToMark end = FindMark(kToolCallEnd);
  AppendArguments(held().substr(0, end.length), out);
  if (!end.found) {
    DropSearched(end.length);
    return false;
  }
  Drop(end.mark + kToolCallEnd.size());
  part_ = Part::kContent;
  at_edge_ = true;
  return true;
}

void OutputSplitter::AppendArguments(absl::string_view text, OutputPiece& out) {
  std::string piece = arguments_.Push(text);
  if (piece.empty()) return;
  if (out.tool_calls.empty()) out.tool_calls.emplace_back();
  out.tool_calls.back().arguments += piece;
}

bool OutputSplitter::TakeToolCall(OutputPiece& out) {
  const UpToMark end = FindMark(kToolCallEnd);
  if (!end.found) return false;
  const std::string body(held().substr(0, end.mark));
  Drop(end.mark + kToolCallEnd.size());
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

// The output ends inside the marks: a call that is complete counts, with a beginning of the end
// mark or without.
void OutputSplitter::EndCutToolCall(absl::string_view rest, OutputPiece& out) {
  bytes_read_ += rest.size();
  const absl::string_view body = rest.substr(0, MaybeMark(rest, kToolCallEnd));
  if (std::optional<ToolCall> call = ParseToolCall(body)) {
    out.tool_calls.push_back(*std::move(call));
  } else {
    out.content = absl::StrCat(opening_, rest);
  }
}

OutputPiece OutputSplitter::Flush() {
  OutputPiece out;
  std::string rest(held());
  held_.clear();
  Drop(0);
  begin_ = 0;
  switch (part_) {
    case Part::kReasoning:
      out.reasoning = std::move(rest);
      break;
    case Part::kToolCall:
      EndCutToolCall(rest, out);
      break;
    case Part::kArguments:
      AppendArguments(absl::string_view(rest).substr(0, MaybeMark(rest, kToolCallEnd)), out);
      break;
    default:
      if (!at_edge_) out.content = std::move(rest);
  }
  return out;
}

}  // namespace sdar
