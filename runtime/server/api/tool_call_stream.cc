// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/tool_call_stream.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

#include "common/json.h"

namespace sdar {
namespace {

using State = ToolCallHead::State;

// Reads a text token by token. Each function says whether what it expects stands next; at the
// text's end it is incomplete.
class HeadReader {
 public:
  explicit HeadReader(absl::string_view text) : text_(text) {}

  State Expect(absl::string_view token) {
    SkipSpace();
    const absl::string_view rest = text_.substr(position_);
    if (absl::StartsWith(rest, token)) {
      position_ += token.size();
      return State::kFound;
    }
    return absl::StartsWith(token, rest) ? State::kIncomplete : State::kOther;
  }

  // A JSON string.
  State ReadString(std::string& out) {
    SkipSpace();
    const size_t begin = position_;
    if (begin == text_.size()) return State::kIncomplete;
    if (text_[begin] != '"') return State::kOther;
    size_t end = begin + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return State::kIncomplete;
    position_ = end + 1;
    const auto value = ParseJson(text_.substr(begin, position_ - begin), "name");
    if (!value.ok() || !value->is_string()) return State::kOther;
    out = value->get<std::string>();
    return out.empty() ? State::kOther : State::kFound;
  }

  size_t position() const { return position_; }

 private:
  void SkipSpace() {
    while (position_ < text_.size() &&
           absl::ascii_isspace(static_cast<unsigned char>(text_[position_]))) {
      ++position_;
    }
  }

  const absl::string_view text_;
  size_t position_ = 0;
};

State ReadTokens(HeadReader& reader, ToolCallHead& head) {
  for (absl::string_view token : {"{", "\"name\"", ":"}) {
    if (const State state = reader.Expect(token); state != State::kFound) return state;
  }
  if (const State state = reader.ReadString(head.name); state != State::kFound) return state;
  for (absl::string_view token : {",", "\"arguments\"", ":"}) {
    if (const State state = reader.Expect(token); state != State::kFound) return state;
  }
  const State state = reader.Expect("{");
  if (state == State::kFound) head.length = reader.position() - 1;
  return state;
}

}  // namespace

ToolCallHead ReadToolCallHead(absl::string_view text) {
  HeadReader reader(text.substr(0, kMaxToolCallHead));
  ToolCallHead head;
  head.state = ReadTokens(reader, head);
  if (head.state == State::kIncomplete && text.size() >= kMaxToolCallHead) {
    head.state = State::kOther;
  }
  return head;
}

std::string ArgumentsReader::Push(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (ended_) break;
    if (!in_string_ && absl::ascii_isspace(static_cast<unsigned char>(c))) continue;
    out += c;
    if (escaped_) {
      escaped_ = false;
    } else if (in_string_) {
      escaped_ = c == '\\';
      in_string_ = c != '"';
    } else {
      in_string_ = c == '"';
      if (c == '{' || c == '[') ++depth_;
      if (c == '}' || c == ']') ended_ = --depth_ == 0;
    }
  }
  return out;
}

}  // namespace sdar
