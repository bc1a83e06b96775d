// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/python_text.h"

#include <algorithm>

#include "runtime/text/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

// Where the character that ends at `end` begins. Requires: valid UTF-8, end > 0.
size_t PreviousStart(absl::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0u) == 0x80u) --start;
  return start;
}

bool IsStripped(absl::string_view character, std::optional<absl::string_view> characters) {
  if (characters.has_value()) return characters->find(character) != absl::string_view::npos;
  return IsPythonSpace(ReadUtf8(character, 0).code_point);
}

void AppendUpper(char32_t c, std::string& out) {
  static constexpr absl::string_view kLigatures[] = {"FF", "FI", "FL", "FFI", "FFL", "ST", "ST"};
  if (c == 0xDF) {
    out += "SS";
  } else if (c >= 0xFB00 && c <= 0xFB06) {
    const absl::string_view expanded = kLigatures[c - 0xFB00];
    out.append(expanded.data(), expanded.size());
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  }
}

void AppendLower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\u0307";
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

void AppendTitle(char32_t c, std::string& out) {
  if (c == 0xDF) {
    out += "Ss";
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
  }
}

bool IsCased(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

std::vector<absl::string_view> SplitAtSpaces(absl::string_view text, int64_t limit) {
  std::vector<absl::string_view> parts;
  text = PythonStrip(text, StripSide::kLeft);
  while (!text.empty()) {
    size_t end = 0;
    if (limit >= 0 && static_cast<int64_t>(parts.size()) >= limit) {
      parts.push_back(PythonStrip(text, StripSide::kRight));
      break;
    }
    while (end < text.size()) {
      const Utf8Step step = ReadUtf8(text, end);
      if (IsPythonSpace(step.code_point)) break;
      end += step.length;
    }
    parts.push_back(text.substr(0, end));
    text = PythonStrip(text.substr(end), StripSide::kLeft);
  }
  return parts;
}

bool IsLineEnd(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

absl::string_view PythonStrip(absl::string_view text, StripSide side,
                              std::optional<absl::string_view> characters) {
  while (side != StripSide::kRight && !text.empty()) {
    const size_t length = ReadUtf8(text, 0).length;
    if (!IsStripped(text.substr(0, length), characters)) break;
    text.remove_prefix(length);
  }
  while (side != StripSide::kLeft && !text.empty()) {
    const size_t start = PreviousStart(text, text.size());
    if (!IsStripped(text.substr(start), characters)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

std::vector<absl::string_view> PythonSplit(absl::string_view text,
                                           std::optional<absl::string_view> separator,
                                           int64_t limit) {
  if (!separator.has_value()) return SplitAtSpaces(text, limit);
  std::vector<absl::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = text.find(*separator);
    if (found == absl::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<absl::string_view> PythonRightSplit(absl::string_view text, absl::string_view separator,
                                                int64_t limit) {
  std::vector<absl::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = text.rfind(separator);
    if (found == absl::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<absl::string_view> PythonSplitLines(absl::string_view text) {
  std::vector<absl::string_view> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    size_t next = i + step.length;
    if (IsLineEnd(step.code_point)) {
      lines.push_back(text.substr(begin, i - begin));
      if (step.code_point == '\r' && next < text.size() && text[next] == '\n') ++next;
      begin = next;
    }
    i = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string PythonReplace(absl::string_view text, absl::string_view from, absl::string_view to,
                          int64_t limit) {
  std::string out;
  size_t position = 0;
  for (int64_t count = 0; limit < 0 || count < limit; ++count) {
    const size_t found = text.find(from, position);
    if (found == absl::string_view::npos) break;
    out.append(text.data() + position, found - position);
    out.append(to.data(), to.size());
    position = found + from.size();
    if (!from.empty()) continue;
    // An empty pattern is found before every character and at the end.
    if (position >= text.size()) return out;
    const size_t length = ReadUtf8(text, position).length;
    out.append(text.data() + position, length);
    position += length;
  }
  out.append(text.data() + position, text.size() - position);
  return out;
}

std::string PythonUpper(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    AppendUpper(step.code_point, out);
    i += step.length;
  }
  return out;
}

std::string PythonLower(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    AppendLower(step.code_point, out);
    i += step.length;
  }
  return out;
}

std::string PythonCapitalize(absl::string_view text) {
  if (text.empty()) return "";
  std::string out;
  const Utf8Step first = ReadUtf8(text, 0);
  AppendTitle(first.code_point, out);
  return out + PythonLower(text.substr(first.length));
}

std::string PythonTitle(absl::string_view text) {
  std::string out;
  bool after_letter = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    (after_letter ? AppendLower : AppendTitle)(step.code_point, out);
    after_letter = IsCased(step.code_point);
    i += step.length;
  }
  return out;
}

std::string JinjaTitle(absl::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    const char32_t c = step.code_point;
    const bool breaks =
        IsPythonSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    (in_word ? AppendLower : AppendUpper)(c, out);
    in_word = !breaks;
    i += step.length;
  }
  return out;
}

int64_t CountCodePoints(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0u) != 0x80u; });
}

absl::string_view CodePointRange(absl::string_view text, int64_t begin, int64_t end) {
  size_t first = 0;
  int64_t index = 0;
  for (; index < begin; ++index) first += ReadUtf8(text, first).length;
  size_t last = first;
  for (; index < end; ++index) last += ReadUtf8(text, last).length;
  return text.substr(first, last - first);
}

}  // namespace sdar
