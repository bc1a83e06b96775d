// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

// Units of work.
constexpr size_t kUnitsPerValue = 16;
constexpr size_t kUnitsPerFloat = 256;
constexpr size_t kUnitsPerEscape = 128;

// What str.isprintable() refuses to show as itself.
bool IsPrintable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

// How repr() writes a character of a string in quotes of the given kind; empty for the character
// itself.
std::string EscapeForRepr(char32_t c, char quote) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c == '\\' || c == static_cast<char32_t>(quote)) {
    return absl::StrCat("\\", std::string(1, static_cast<char>(c)));
  }
  if (IsPrintable(c)) return std::string();
  const auto code = static_cast<uint32_t>(c);
  if (code <= 0xFF) return absl::StrFormat("\\x%02x", code);
  if (code <= 0xFFFF) return absl::StrFormat("\\u%04x", code);
  return absl::StrFormat("\\U%08x", code);
}

// Python's repr of a string.
absl::Status AppendReprOfText(absl::string_view text, JinjaTextBuilder& out) {
  SDAR_RETURN_IF_ERROR(out.budget().ChargeCharacters(text));
  const bool has_single = text.find('\'') != absl::string_view::npos;
  const bool double_quoted = has_single && text.find('"') == absl::string_view::npos;
  const absl::string_view quote = double_quoted ? "\"" : "'";
  SDAR_RETURN_IF_ERROR(out.Append(quote));
  size_t plain = 0;  // where the characters begin that are not appended yet
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    const std::string escaped = EscapeForRepr(step.code_point, quote[0]);
    if (!escaped.empty()) {
      SDAR_RETURN_IF_ERROR(out.budget().Charge(kUnitsPerEscape));
      SDAR_RETURN_IF_ERROR(out.Append(text.substr(plain, i - plain)));
      SDAR_RETURN_IF_ERROR(out.Append(escaped));
      plain = i + step.length;
    }
    i += step.length;
  }
  SDAR_RETURN_IF_ERROR(out.Append(text.substr(plain)));
  return out.Append(quote);
}

// Python's repr of a float.
std::string ReprOfFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string scientific(buffer, end);
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  // Python writes exponents from -4 to 15 in full.
  if (exponent < -4 || exponent >= 16) return scientific;
  const auto fixed_end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

// Appends `value` as repr() does.
absl::Status AppendRepr(const JinjaValue& value, JinjaTextBuilder& out);

absl::Status AppendSequence(const JinjaSequence& sequence, absl::string_view type,
                            JinjaTextBuilder& out) {
  const bool tuple = sequence.kind == JinjaSequence::Kind::kTuple;
  if (!tuple && sequence.kind != JinjaSequence::Kind::kList) {
    return JinjaError(absl::StrCat("printing a ", type, " is not supported; use |list first"));
  }
  SDAR_RETURN_IF_ERROR(out.Append(tuple ? "(" : "["));
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) SDAR_RETURN_IF_ERROR(out.Append(", "));
    SDAR_RETURN_IF_ERROR(AppendRepr(sequence.items[i], out));
  }
  if (tuple && sequence.items.size() == 1) SDAR_RETURN_IF_ERROR(out.Append(","));
  return out.Append(tuple ? ")" : "]");
}

absl::Status AppendDict(const JinjaDict& dict, JinjaTextBuilder& out) {
  SDAR_RETURN_IF_ERROR(out.Append("{"));
  bool first = true;
  for (const auto& [key, value] : dict.items) {
    if (!std::exchange(first, false)) SDAR_RETURN_IF_ERROR(out.Append(", "));
    SDAR_RETURN_IF_ERROR(AppendRepr(key, out));
    SDAR_RETURN_IF_ERROR(out.Append(": "));
    SDAR_RETURN_IF_ERROR(AppendRepr(value, out));
  }
  return out.Append("}");
}

absl::Status AppendRepr(const JinjaValue& value, JinjaTextBuilder& out) {
  SDAR_RETURN_IF_ERROR(out.budget().Charge(kUnitsPerValue));
  if (value.is_string()) return AppendReprOfText(value.text(), out);
  if (value.is_undefined()) return out.Append("Undefined");
  return AppendText(value, out);
}

// Writes one value as JSON, the lines of a container indented by its level.
class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, JinjaBudget& budget) : style_(style), out_(budget) {}

  absl::Status Write(const JinjaValue& value, int level) {
    SDAR_RETURN_IF_ERROR(out_.budget().Charge(kUnitsPerValue));
    if (value.is_string()) return WriteText(value.text());
    if (const JinjaSequence* items = value.sequence()) {
      if (items->kind == JinjaSequence::Kind::kList || items->kind == JinjaSequence::Kind::kTuple) {
        return WriteList(*items, level);
      }
    }
    if (const JinjaDict* object = value.dict()) return WriteDict(*object, level);
    if (value.is_none()) return out_.Append("null");
    if (value.is_bool()) return out_.Append(value.IsTrue() ? "true" : "false");
    if (value.is_int()) return out_.Append(absl::StrCat(value.integer()));
    if (value.is_big_integer()) return out_.Append(value.digits());
    if (value.is_float()) return WriteFloat(value.number());
    return JinjaError(
        absl::StrCat("an object of type ", value.TypeName(), " is not JSON serializable"));
  }

  JinjaTextBuilder Take() { return std::move(out_); }

 private:
  absl::Status WriteFloat(double value) {
    SDAR_RETURN_IF_ERROR(out_.budget().Charge(kUnitsPerFloat));
    if (std::isnan(value)) return out_.Append("NaN");
    if (std::isinf(value)) return out_.Append(value > 0 ? "Infinity" : "-Infinity");
    return out_.Append(ReprOfFloat(value));
  }

  // The escape of a character, empty where it stands for itself.
  std::string EscapeOf(char32_t c) const {
    static constexpr absl::string_view kEscaped = "\"\\\n\r\t\b\f";
    static constexpr absl::string_view kLetters = "\"\\nrtbf";
    if (c < 0x80) {
      const size_t letter = kEscaped.find(static_cast<char>(c));
      if (letter != absl::string_view::npos) {
        return absl::StrCat("\\", kLetters.substr(letter, 1));
      }
    }
    if (c >= 0x20 && !(style_.ensure_ascii && c > 0x7E)) return std::string();
    const auto code = static_cast<uint32_t>(c);
    if (code < 0x10000) return absl::StrFormat("\\u%04x", code);
    return absl::StrFormat("\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                           0xDC00 + ((code - 0x10000) & 0x3FF));
  }

  absl::Status WriteText(absl::string_view text) {
    SDAR_RETURN_IF_ERROR(out_.budget().ChargeCharacters(text));
    SDAR_RETURN_IF_ERROR(out_.Append("\""));
    size_t plain = 0;  // where the characters begin that are not appended yet
    for (size_t i = 0; i < text.size();) {
      const Utf8Step step = ReadUtf8(text, i);
      const std::string escaped = EscapeOf(step.code_point);
      if (!escaped.empty()) {
        SDAR_RETURN_IF_ERROR(out_.budget().Charge(kUnitsPerEscape));
        SDAR_RETURN_IF_ERROR(out_.Append(text.substr(plain, i - plain)));
        SDAR_RETURN_IF_ERROR(out_.Append(escaped));
        plain = i + step.length;
      }
      i += step.length;
    }
    SDAR_RETURN_IF_ERROR(out_.Append(text.substr(plain)));
    return out_.Append("\"");
  }

  absl::Status WriteLineBreak(int level) {
    if (!style_.indent.has_value()) return absl::OkStatus();
    SDAR_RETURN_IF_ERROR(out_.Append("\n"));
    for (int i = 0; i < level; ++i) SDAR_RETURN_IF_ERROR(out_.Append(*style_.indent));
    return absl::OkStatus();
  }

  absl::Status WriteList(const JinjaSequence& list, int level) {
    if (list.items.empty()) return out_.Append("[]");
    SDAR_RETURN_IF_ERROR(out_.Append("["));
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) SDAR_RETURN_IF_ERROR(out_.Append(style_.item_separator));
      SDAR_RETURN_IF_ERROR(WriteLineBreak(level + 1));
      SDAR_RETURN_IF_ERROR(Write(list.items[i], level + 1));
    }
    SDAR_RETURN_IF_ERROR(WriteLineBreak(level));
    return out_.Append("]");
  }

  // JSON's keys are strings: a number or constant is written as one.
  absl::Status WriteKey(const JinjaValue& key) {
    if (key.is_string()) return WriteText(key.text());
    SDAR_RETURN_IF_ERROR(out_.Append("\""));
    SDAR_RETURN_IF_ERROR(Write(key, 0));
    return out_.Append("\"");
  }

  absl::Status WriteDict(const JinjaDict& dict, int level) {
    if (dict.items.empty()) return out_.Append("{}");
    SDAR_RETURN_IF_ERROR(out_.Append("{"));
    std::vector<const JinjaMember*> sorted;
    if (style_.sort_keys) {
      SDAR_ASSIGN_OR_RETURN(sorted, SortMembers(dict));
    }
    for (size_t i = 0; i < dict.items.size(); ++i) {
      const JinjaMember& member = style_.sort_keys ? *sorted[i] : dict.items[i];
      if (i > 0) SDAR_RETURN_IF_ERROR(out_.Append(style_.item_separator));
      SDAR_RETURN_IF_ERROR(WriteLineBreak(level + 1));
      SDAR_RETURN_IF_ERROR(WriteKey(member.first));
      SDAR_RETURN_IF_ERROR(out_.Append(style_.key_separator));
      SDAR_RETURN_IF_ERROR(Write(member.second, level + 1));
    }
    SDAR_RETURN_IF_ERROR(WriteLineBreak(level));
    return out_.Append("}");
  }

  absl::StatusOr<std::vector<const JinjaMember*>> SortMembers(const JinjaDict& dict) {
    JinjaBudget& budget = out_.budget();
    SDAR_RETURN_IF_ERROR(budget.Allocate(2 * dict.items.size() * sizeof(const JinjaMember*)));
    std::vector<const JinjaMember*> members;
    members.reserve(dict.items.size());
    size_t work = 0;  // of comparing every member once
    for (const JinjaMember& member : dict.items) {
      if (!member.first.is_string()) return JinjaError("sort_keys needs keys that are strings");
      work += kUnitsPerValue + member.first.text().size();
      members.push_back(&member);
    }
    size_t rounds = 1;
    for (size_t n = members.size(); n > 1; n /= 2) ++rounds;
    SDAR_RETURN_IF_ERROR(budget.Charge(work * rounds));
    std::stable_sort(members.begin(), members.end(),
                     [](const JinjaMember* a, const JinjaMember* b) {
                       return a->first.text() < b->first.text();
                     });
    return members;
  }

  const JsonStyle& style_;
  JinjaTextBuilder out_;
};

}  // namespace

absl::Status AppendText(const JinjaValue& value, JinjaTextBuilder& out) {
  if (value.is_string()) return out.Append(value.text());
  if (value.is_undefined()) return absl::OkStatus();
  if (value.is_none()) return out.Append("None");
  if (value.is_bool()) return out.Append(value.IsTrue() ? "True" : "False");
  if (value.is_int()) return out.Append(absl::StrCat(value.integer()));
  if (value.is_big_integer()) return out.Append(value.digits());
  if (value.is_float()) {
    SDAR_RETURN_IF_ERROR(out.budget().Charge(kUnitsPerFloat));
    return out.Append(ReprOfFloat(value.number()));
  }
  if (const JinjaSequence* items = value.sequence()) {
    return AppendSequence(*items, value.TypeName(), out);
  }
  if (const JinjaDict* object = value.dict()) return AppendDict(*object, out);
  return JinjaError(absl::StrCat("printing a ", value.TypeName(), " is not supported"));
}

absl::StatusOr<std::string> PrintText(const JinjaValue& value, JinjaBudget& budget) {
  JinjaTextBuilder out(budget);
  SDAR_RETURN_IF_ERROR(AppendText(value, out));
  return out.Take();
}

absl::StatusOr<JinjaValue> PrintValue(const JinjaValue& value, JinjaBudget& budget) {
  if (value.is_string()) return value;
  JinjaTextBuilder out(budget);
  SDAR_RETURN_IF_ERROR(AppendText(value, out));
  return MakeText(std::move(out));
}

absl::StatusOr<JinjaValue> ToJsonText(const JinjaValue& value, const JsonStyle& style,
                                      JinjaBudget& budget) {
  JsonWriter writer(style, budget);
  SDAR_RETURN_IF_ERROR(writer.Write(value, 0));
  return MakeText(writer.Take());
}

}  // namespace sdar
