// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"
#include "common/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

uint64_t ChildKey(uint32_t node, char byte) {
  return (uint64_t{node} << 8) | static_cast<uint8_t>(byte);
}

// The \w of regular expressions: letters, marks, decimal digits, connectors and joiners.
bool IsWordCharacter(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9);
  }
}

// White_Space of Unicode: Python's white space without the ASCII separators.
bool IsUnicodeSpace(char32_t c) { return IsPythonSpace(c) && !(c >= 0x1C && c <= 0x1F); }

// Where the character that ends at `end` begins. Requires: valid UTF-8, end > 0.
size_t PreviousStart(absl::string_view text, size_t end) {
  size_t start = end - 1;
  while ((static_cast<uint8_t>(text[start]) & 0xC0u) == 0x80u) --start;
  return start;
}

bool TouchesWord(absl::string_view text, size_t begin, size_t end) {
  if (begin > 0 && IsWordCharacter(ReadUtf8(text, PreviousStart(text, begin)).code_point)) {
    return true;
  }
  return end < text.size() && IsWordCharacter(ReadUtf8(text, end).code_point);
}

size_t SkipSpacesLeft(absl::string_view text, size_t begin, size_t limit) {
  while (begin > limit) {
    const size_t previous = PreviousStart(text, begin);
    if (previous < limit || !IsUnicodeSpace(ReadUtf8(text, previous).code_point)) break;
    begin = previous;
  }
  return begin;
}

size_t SkipSpacesRight(absl::string_view text, size_t end) {
  while (end < text.size()) {
    const Utf8Step step = ReadUtf8(text, end);
    if (!IsUnicodeSpace(step.code_point)) break;
    end += step.length;
  }
  return end;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_of_node_(1, -1) {
  for (size_t index = 0; index < tokens_.size(); ++index) {
    const std::string& content = tokens_[index].content;
    begins_token_[static_cast<uint8_t>(content[0])] = true;
    uint32_t node = 0;
    for (const char byte : content) {
      const auto fresh = static_cast<uint32_t>(token_of_node_.size());
      const auto [it, inserted] = children_.try_emplace(ChildKey(node, byte), fresh);
      if (inserted) token_of_node_.push_back(-1);
      node = it->second;
    }
    token_of_node_[node] = static_cast<int32_t>(index);
  }
}

const AddedToken* AddedTokenMatcher::LongestAt(absl::string_view text, size_t position) const {
  const AddedToken* longest = nullptr;
  uint32_t node = 0;
  for (size_t i = position; i < text.size(); ++i) {
    const auto it = children_.find(ChildKey(node, text[i]));
    if (it == children_.end()) break;
    node = it->second;
    if (token_of_node_[node] >= 0) longest = &tokens_[static_cast<size_t>(token_of_node_[node])];
  }
  return longest;
}

bool AddedTokenMatcher::strips() const {
  return std::any_of(tokens_.begin(), tokens_.end(),
                     [](const AddedToken& token) { return token.lstrip || token.rstrip; });
}

absl::Status AddedTokenMatcher::Split(absl::string_view text, SegmentSink sink) const {
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const AddedToken* token =
        begins_token_[static_cast<uint8_t>(text[i])] ? LongestAt(text, i) : nullptr;
    if (token == nullptr) {
      ++i;
      continue;
    }
    size_t begin = i;
    size_t end = i + token->content.size();
    i = end;
    if (token->single_word && TouchesWord(text, begin, end)) continue;
    if (token->lstrip) begin = SkipSpacesLeft(text, begin, done);
    if (token->rstrip) end = SkipSpacesRight(text, end);
    if (done < begin) SDAR_RETURN_IF_ERROR(sink({text.substr(done, begin - done)}));
    SDAR_RETURN_IF_ERROR(sink({text.substr(begin, end - begin), token->id}));
    done = end;
    i = std::max(i, end);
  }
  return done < text.size() ? sink({text.substr(done)}) : absl::OkStatus();
}

}  // namespace sdar
