// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/syntax/lexer.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "common/utf8.h"

namespace sdar {
namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// \r\n and \r become \n; one newline at the end goes.
std::string NormalizeNewlines(absl::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

void StripRight(std::string& text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0u) == 0x80u) --start;
    if (!IsPythonSpace(ReadUtf8(text, start).code_point)) break;
    end = start;
  }
  text.resize(end);
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  absl::StatusOr<std::vector<JinjaToken>> Run() {
    while (position_ < source_.size()) SDAR_RETURN_IF_ERROR(LexText());
    Push(JinjaTokenKind::kEnd, "end of template");
    return std::move(tokens_);
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return ShortInvalidArgument(absl::StrCat("line ", line_, ": ", what));
  }

  bool At(absl::string_view text) const {
    return absl::string_view(source_).substr(position_, text.size()) == text;
  }

  void Push(JinjaTokenKind kind, std::string text) {
    JinjaToken token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }

  // Moves on by `count` bytes, counting lines.
  void Advance(size_t count) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(position_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(count), '\n'));
    position_ += count;
    line_starting_ = position_ > 0 && source_[position_ - 1] == '\n';
  }

  void SkipUnicodeSpaces() {
    size_t end = position_;
    while (end < source_.size()) {
      const Utf8Step step = ReadUtf8(source_, end);
      if (!IsPythonSpace(step.code_point)) break;
      end += step.length;
    }
    Advance(end - position_);
  }

  // Text up to the next tag, then the tag.
  absl::Status LexText() {
    size_t tag = position_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        Push(JinjaTokenKind::kData, source_.substr(position_));
        Advance(source_.size() - position_);
        return absl::OkStatus();
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const char opener = source_[tag + 1];
    const char mark = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    const bool marked = mark == '-' || mark == '+';
    std::string text = source_.substr(position_, tag - position_);
    StripBeforeTag(opener, mark, text);
    if (!text.empty()) Push(JinjaTokenKind::kData, std::move(text));
    Advance(tag + 2 - position_ + (marked ? 1 : 0));
    if (opener == '#') return LexComment();
    if (opener == '{')
      return LexTag(JinjaTokenKind::kVariableBegin, JinjaTokenKind::kVariableEnd, "}}");
    if (IsRawBlock()) return LexRaw();
    return LexTag(JinjaTokenKind::kBlockBegin, JinjaTokenKind::kBlockEnd, "%}");
  }

  void StripBeforeTag(char opener, char mark, std::string& text) const {
    if (mark == '-') {
      StripRight(text);
    } else if (mark != '+' && opener != '{') {
      const size_t newline = text.rfind('\n');
      if (newline == std::string::npos && !line_starting_) return;
      std::string last = text.substr(newline == std::string::npos ? 0 : newline + 1);
      const size_t length = last.size();
      StripRight(last);
      if (last.empty()) text.resize(text.size() - length);
    }
  }

  // What follows the end of a block or comment: one newline goes, or with a mark all white space
  // or none of it.
  void StripAfterTag(char mark, bool trims_newline) {
    if (mark == '-') {
      SkipUnicodeSpaces();
    } else if (mark != '+' && trims_newline && At("\n")) {
      Advance(1);
    }
  }

  absl::Status LexComment() {
    const size_t end = source_.find("#}", position_);
    if (end == std::string::npos) return Error("a comment is not closed");
    const char mark = end > position_ ? source_[end - 1] : ' ';
    Advance(end + 2 - position_);
    StripAfterTag(mark, true);
    return absl::OkStatus();
  }

  // Whether the block whose opening was read is {% raw %}.
  bool IsRawBlock() const {
    size_t i = source_.find_first_not_of(" \t\n\v\f", position_);
    if (i == std::string::npos || source_.compare(i, 3, "raw") != 0) return false;
    i = source_.find_first_not_of(" \t\n\v\f", i + 3);
    if (i != std::string::npos && source_[i] == '-') ++i;
    return i != std::string::npos && source_.compare(i, 2, "%}") == 0;
  }

  absl::Status LexRaw() {
    const size_t close = source_.find("%}", position_);
    const char mark = source_[close - 1];
    Advance(close + 2 - position_);
    StripAfterTag(mark, true);
    for (size_t tag = position_;; tag += 2) {
      tag = source_.find("{%", tag);
      if (tag == std::string::npos) return Error("a raw block is not closed");
      const char before = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      const size_t skip = before == '-' || before == '+' ? 3 : 2;
      const size_t name = source_.find_first_not_of(" \t\n\v\f", tag + skip);
      if (name == std::string::npos || source_.compare(name, 6, "endraw") != 0) continue;
      size_t end = source_.find_first_not_of(" \t\n\v\f", name + 6);
      const char after = end == std::string::npos ? ' ' : source_[end];
      if (after == '-' || after == '+') ++end;
      if (end == std::string::npos || source_.compare(end, 2, "%}") != 0) continue;
      std::string text = source_.substr(position_, tag - position_);
      StripBeforeTag('%', before, text);
      if (!text.empty()) Push(JinjaTokenKind::kData, std::move(text));
      Advance(end + 2 - position_);
      StripAfterTag(after, true);
      return absl::OkStatus();
    }
  }

  absl::Status LexTag(JinjaTokenKind begin, JinjaTokenKind end, absl::string_view closer) {
    Push(begin, begin == JinjaTokenKind::kVariableBegin ? "{{" : "{%");
    brackets_.clear();
    while (true) {
      while (position_ < source_.size() && IsSpace(source_[position_])) Advance(1);
      if (position_ >= source_.size()) return Error(absl::StrCat("expected '", closer, "'"));
      if (brackets_.empty()) {
        const char mark = source_[position_];
        const bool marked = mark == '-' || (mark == '+' && end == JinjaTokenKind::kBlockEnd);
        const absl::string_view rest =
            absl::string_view(source_).substr(position_ + (marked ? 1 : 0));
        if (rest.substr(0, 2) == closer) {
          Push(end, std::string(closer));
          Advance(marked ? 3 : 2);
          StripAfterTag(marked ? mark : ' ', end == JinjaTokenKind::kBlockEnd);
          return absl::OkStatus();
        }
      }
      SDAR_RETURN_IF_ERROR(LexExpressionToken());
    }
  }

  absl::Status LexExpressionToken() {
    const char c = source_[position_];
    if (IsNameStart(c)) {
      size_t end = position_;
      while (end < source_.size() && (IsNameStart(source_[end]) || IsDigit(source_[end]))) ++end;
      Push(JinjaTokenKind::kName, source_.substr(position_, end - position_));
      Advance(end - position_);
      return absl::OkStatus();
    }
    if (IsDigit(c)) return LexNumber();
    if (c == '"' || c == '\'') return LexString(c);
    return LexOperator();
  }

  // Digits with single underscores between them, appended to `out` without those.
  size_t ReadDigits(size_t at, std::string& out) const {
    while (at < source_.size()) {
      if (IsDigit(source_[at])) {
        out.push_back(source_[at++]);
      } else if (source_[at] == '_' && !out.empty() && at + 1 < source_.size() &&
                 IsDigit(source_[at + 1])) {
        ++at;
      } else {
        break;
      }
    }
    return at;
  }

  absl::Status LexNumber() {
    std::string digits;
    size_t end = ReadDigits(position_, digits);
    if (digits == "0" && end < source_.size() &&
        absl::string_view("xXoObB").find(source_[end]) != absl::string_view::npos) {
      return Error("a number that is not decimal is not supported");
    }
    bool is_float = false;
    if (end + 1 < source_.size() && source_[end] == '.' && IsDigit(source_[end + 1])) {
      is_float = true;
      digits.push_back('.');
      end = ReadDigits(end + 1, digits);
    }
    size_t exponent = end;
    if (exponent < source_.size() && (source_[exponent] == 'e' || source_[exponent] == 'E')) {
      ++exponent;
      const bool has_sign =
          exponent < source_.size() && (source_[exponent] == '-' || source_[exponent] == '+');
      if (exponent + (has_sign ? 1 : 0) < source_.size() &&
          IsDigit(source_[exponent + (has_sign ? 1 : 0)])) {
        is_float = true;
        digits.push_back('e');
        if (has_sign) digits.push_back(source_[exponent++]);
        end = ReadDigits(exponent, digits);
      }
    }
    Push(is_float ? JinjaTokenKind::kFloat : JinjaTokenKind::kInteger, digits);
    JinjaToken& token = tokens_.back();
    const bool read = is_float ? absl::SimpleAtod(digits, &token.number)
                               : absl::SimpleAtoi(digits, &token.integer);
    if (!read) return Error(absl::StrCat("the number ", digits, " is out of range"));
    Advance(end - position_);
    return absl::OkStatus();
  }

  absl::Status LexString(char quote) {
    const size_t begin = position_ + 1;
    size_t end = begin;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return Error("a string is not closed");
    SDAR_ASSIGN_OR_RETURN(std::string text,
                          Unescape(absl::string_view(source_).substr(begin, end - begin)));
    Push(JinjaTokenKind::kString, std::move(text));
    Advance(end + 1 - position_);
    return absl::OkStatus();
  }

  // Reads `count` hexadecimal digits of `text` at `at`.
  absl::StatusOr<char32_t> ReadHex(absl::string_view text, size_t at, size_t count) const {
    uint32_t code = 0;
    if (at + count > text.size() || !absl::SimpleHexAtoi(text.substr(at, count), &code) ||
        text.substr(at, count).find_first_not_of("0123456789abcdefABCDEF") !=
            absl::string_view::npos) {
      return Error(absl::StrCat("expected ", count, " hexadecimal digits in an escape"));
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      return Error("an escape is not a Unicode character");
    }
    return static_cast<char32_t>(code);
  }

  // Python's escapes; an unknown one stays as it is.
  absl::StatusOr<std::string> Unescape(absl::string_view text) const {
    static constexpr absl::string_view kLetters = "ntr\\'\"abfv";
    static constexpr absl::string_view kMeanings = "\n\t\r\\'\"\a\b\f\v";
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out.push_back(text[i]);
        continue;
      }
      const char c = text[++i];  // a string never ends in a lone backslash
      const size_t letter = kLetters.find(c);
      if (letter != absl::string_view::npos) {
        out.push_back(kMeanings[letter]);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        SDAR_ASSIGN_OR_RETURN(const char32_t code_point, ReadHex(text, i + 1, count));
        AppendUtf8(code_point, out);
        i += count;
      } else if (IsDigit(c) && c < '8') {
        char32_t code = 0;
        size_t end = i;
        while (end < text.size() && end < i + 3 && text[end] >= '0' && text[end] <= '7') {
          code = code * 8 + static_cast<char32_t>(text[end++] - '0');
        }
        AppendUtf8(code, out);
        i = end - 1;
      } else if (c == 'N') {
        return Error("the escape \\N is not supported");
      } else if (c != '\n') {
        out.push_back('\\');
        out.push_back(c);
      }
    }
    return out;
  }

  absl::Status LexOperator() {
    static constexpr absl::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const absl::string_view op : kOperators) {
      if (!At(op)) continue;
      SDAR_RETURN_IF_ERROR(CheckBrackets(op[0]));
      Push(JinjaTokenKind::kOperator, std::string(op));
      Advance(op.size());
      return absl::OkStatus();
    }
    const Utf8Step step = ReadUtf8(source_, position_);
    return Error(
        absl::StrCat("unexpected character '", source_.substr(position_, step.length), "'"));
  }

  absl::Status CheckBrackets(char c) {
    if (c == '(') brackets_.push_back(')');
    if (c == '[') brackets_.push_back(']');
    if (c == '{') brackets_.push_back('}');
    if (c != ')' && c != ']' && c != '}') return absl::OkStatus();
    if (brackets_.empty()) return Error(absl::StrCat("unexpected '", std::string(1, c), "'"));
    if (brackets_.back() != c) {
      return Error(absl::StrCat("unexpected '", std::string(1, c), "', expected '",
                                std::string(1, brackets_.back()), "'"));
    }
    brackets_.pop_back();
    return absl::OkStatus();
  }

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // nothing precedes `position_` on its line, or only a trimmed tag
  std::string brackets_;       // the closers that the open brackets expect
  std::vector<JinjaToken> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<JinjaToken>> LexJinja(absl::string_view source) {
  if (!IsValidUtf8(source)) {
    return absl::InvalidArgumentError("line 1: the template is not UTF-8");
  }
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace sdar
