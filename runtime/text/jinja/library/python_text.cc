// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/library/python_text.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <vector>

#include "absl/container/flat_hash_set.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

// A search from the right compares parts up to this size byte by byte at every place.
constexpr size_t kMaxComparedPart = 16;

// Where the character that ends at `end` begins. Requires: valid UTF-8, end > 0.
size_t PreviousStart(absl::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0u) == 0x80u) --start;
  return start;
}

// The characters that a strip takes away: those of a text, or white space.
class StripSet {
 public:
  explicit StripSet(std::optional<absl::string_view> characters) : spaces_(!characters) {
    if (spaces_) return;
    for (size_t i = 0; i < characters->size();) {
      const Utf8Step step = ReadUtf8(*characters, i);
      if (step.code_point < 0x80) {
        ascii_.set(step.code_point);
      } else {
        others_.insert(step.code_point);
      }
      i += step.length;
    }
  }

  bool Has(char32_t c) const {
    if (spaces_) return IsPythonSpace(c);
    return c < 0x80 ? ascii_.test(c) : others_.contains(c);
  }

 private:
  bool spaces_;
  std::bitset<0x80> ascii_;
  absl::flat_hash_set<char32_t> others_;
};

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

absl::Status SplitAtSpaces(absl::string_view text, int64_t limit, TextSink sink) {
  text = PythonStrip(text, StripSide::kLeft);
  for (int64_t count = 0; !text.empty(); ++count) {
    if (limit >= 0 && count >= limit) return sink(PythonStrip(text, StripSide::kRight));
    size_t end = 0;
    while (end < text.size()) {
      const Utf8Step step = ReadUtf8(text, end);
      if (IsPythonSpace(step.code_point)) break;
      end += step.length;
    }
    SDAR_RETURN_IF_ERROR(sink(text.substr(0, end)));
    text = PythonStrip(text.substr(end), StripSide::kLeft);
  }
  return absl::OkStatus();
}

bool IsLineEnd(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

absl::string_view PythonStrip(absl::string_view text, StripSide side,
                              std::optional<absl::string_view> characters) {
  const StripSet stripped(characters);
  while (side != StripSide::kRight && !text.empty()) {
    const Utf8Step first = ReadUtf8(text, 0);
    if (!stripped.Has(first.code_point)) break;
    text.remove_prefix(first.length);
  }
  while (side != StripSide::kLeft && !text.empty()) {
    const size_t start = PreviousStart(text, text.size());
    if (!stripped.Has(ReadUtf8(text, start).code_point)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

size_t FindText(absl::string_view text, absl::string_view part, size_t from) {
  if (from > text.size()) return absl::string_view::npos;
  // The C library's search is linear, the standard library's is not.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return absl::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t FindLastBytes(absl::string_view part) {
  return part.size() <= kMaxComparedPart ? 0 : part.size() * sizeof(uint32_t);
}

size_t FindLastText(absl::string_view text, absl::string_view part) {
  if (part.size() <= kMaxComparedPart) return text.rfind(part);
  // Knuth, Morris and Pratt, from right to left: at(i) is the part's byte i from its end.
  const auto at = [&](size_t i) { return part[part.size() - 1 - i]; };
  std::vector<uint32_t> border(part.size(), 0);  // of the first i + 1 bytes
  for (size_t i = 1, length = 0; i < part.size(); ++i) {
    while (length > 0 && at(i) != at(length)) length = border[length - 1];
    if (at(i) == at(length)) ++length;
    border[i] = static_cast<uint32_t>(length);
  }
  for (size_t i = text.size(), length = 0; i-- > 0;) {
    while (length > 0 && text[i] != at(length)) length = border[length - 1];
    if (text[i] == at(length)) ++length;
    if (length == part.size()) return i;
  }
  return absl::string_view::npos;
}

size_t CountText(absl::string_view text, absl::string_view part, int64_t limit) {
  size_t count = 0;
  for (size_t from = 0; limit < 0 || static_cast<int64_t>(count) < limit; ++count) {
    const size_t found = FindText(text, part, from);
    if (found == absl::string_view::npos) break;
    from = found + part.size();
  }
  return count;
}

absl::Status PythonSplit(absl::string_view text, std::optional<absl::string_view> separator,
                         int64_t limit, TextSink sink) {
  if (!separator.has_value()) return SplitAtSpaces(text, limit, sink);
  for (int64_t count = 0; limit < 0 || count < limit; ++count) {
    const size_t found = FindText(text, *separator);
    if (found == absl::string_view::npos) break;
    SDAR_RETURN_IF_ERROR(sink(text.substr(0, found)));
    text.remove_prefix(found + separator->size());
  }
  return sink(text);
}

absl::Status PythonRightSplit(absl::string_view text, absl::string_view separator, int64_t limit,
                              TextSink sink) {
  for (int64_t count = 0; limit < 0 || count < limit; ++count) {
    const size_t found = FindLastText(text, separator);
    if (found == absl::string_view::npos) break;
    SDAR_RETURN_IF_ERROR(sink(text.substr(found + separator.size())));
    text = text.substr(0, found);
  }
  return sink(text);
}

absl::Status PythonSplitLines(absl::string_view text, TextSink sink) {
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    size_t next = i + step.length;
    if (IsLineEnd(step.code_point)) {
      SDAR_RETURN_IF_ERROR(sink(text.substr(begin, i - begin)));
      if (step.code_point == '\r' && next < text.size() && text[next] == '\n') ++next;
      begin = next;
    }
    i = next;
  }
  return begin < text.size() ? sink(text.substr(begin)) : absl::OkStatus();
}

std::string PythonReplace(absl::string_view text, absl::string_view from, absl::string_view to,
                          int64_t limit, size_t size) {
  std::string out;
  out.reserve(size);
  size_t position = 0;
  for (int64_t count = 0; limit < 0 || count < limit; ++count) {
    const size_t found = FindText(text, from, position);
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
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    AppendUpper(step.code_point, out);
    i += step.length;
  }
  return out;
}

std::string PythonLower(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
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

bool IsAsciiText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
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
