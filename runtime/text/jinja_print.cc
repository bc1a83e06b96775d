// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/status_macros.h"
#include "runtime/text/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

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

std::string EscapeForRepr(char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  if (code <= 0xFF) return absl::StrFormat("\\x%02x", code);
  if (code <= 0xFFFF) return absl::StrFormat("\\u%04x", code);
  return absl::StrFormat("\\U%08x", code);
}

// Appends `value` as repr() does.
absl::Status AppendRepr(const JinjaValue& value, JinjaBudget& budget, std::string& out);

absl::Status AppendSequence(const JinjaSequence& sequence, absl::string_view type,
                            JinjaBudget& budget, std::string& out) {
  const bool tuple = sequence.kind == JinjaSequence::Kind::kTuple;
  if (!tuple && sequence.kind != JinjaSequence::Kind::kList) {
    return JinjaError(absl::StrCat("printing a ", type, " is not supported; use |list first"));
  }
  out.push_back(tuple ? '(' : '[');
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out += ", ";
    SDAR_RETURN_IF_ERROR(AppendRepr(sequence.items[i], budget, out));
  }
  if (tuple && sequence.items.size() == 1) out.push_back(',');
  out.push_back(tuple ? ')' : ']');
  return absl::OkStatus();
}

absl::Status AppendDict(const JinjaDict& dict, JinjaBudget& budget, std::string& out) {
  out.push_back('{');
  bool first = true;
  for (const auto& [key, value] : dict.items) {
    if (!std::exchange(first, false)) out += ", ";
    SDAR_RETURN_IF_ERROR(AppendRepr(key, budget, out));
    out += ": ";
    SDAR_RETURN_IF_ERROR(AppendRepr(value, budget, out));
  }
  out.push_back('}');
  return absl::OkStatus();
}

absl::Status AppendRepr(const JinjaValue& value, JinjaBudget& budget, std::string& out) {
  SDAR_RETURN_IF_ERROR(budget.Charge(8));
  if (value.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(value.text().size()));
    out += ReprOfText(value.text());
    return absl::OkStatus();
  }
  if (value.is_undefined()) {
    out += "Undefined";
    return absl::OkStatus();
  }
  if (const JinjaSequence* items = value.sequence()) {
    return AppendSequence(*items, value.TypeName(), budget, out);
  }
  if (const JinjaDict* object = value.dict()) return AppendDict(*object, budget, out);
  SDAR_ASSIGN_OR_RETURN(const std::string text, PrintText(value, budget));
  out += text;
  return absl::OkStatus();
}

// Writes one value as JSON, the lines of a container indented by its level.
class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, JinjaBudget& budget) : style_(style), budget_(budget) {}

  absl::Status Write(const JinjaValue& value, int level) {
    SDAR_RETURN_IF_ERROR(budget_.Charge(8 + static_cast<size_t>(level)));
    if (value.is_string()) return WriteText(value.text());
    if (const JinjaSequence* items = value.sequence()) {
      if (items->kind == JinjaSequence::Kind::kList || items->kind == JinjaSequence::Kind::kTuple) {
        return WriteList(*items, level);
      }
    }
    if (const JinjaDict* object = value.dict()) return WriteDict(*object, level);
    if (value.is_none()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += value.IsTrue() ? "true" : "false";
    } else if (value.is_int()) {
      absl::StrAppend(&out_, value.integer());
    } else if (value.is_float()) {
      WriteFloat(value.number());
    } else {
      return JinjaError(
          absl::StrCat("an object of type ", value.TypeName(), " is not JSON serializable"));
    }
    return absl::OkStatus();
  }

  std::string Take() { return std::move(out_); }

 private:
  void WriteFloat(double value) {
    if (std::isnan(value)) {
      out_ += "NaN";
    } else if (std::isinf(value)) {
      out_ += value > 0 ? "Infinity" : "-Infinity";
    } else {
      out_ += ReprOfFloat(value);
    }
  }

  void WriteUnicodeEscape(char32_t c) {
    const auto code = static_cast<uint32_t>(c);
    if (code < 0x10000) {
      absl::StrAppendFormat(&out_, "\\u%04x", code);
    } else {
      absl::StrAppendFormat(&out_, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                            0xDC00 + ((code - 0x10000) & 0x3FF));
    }
  }

  absl::Status WriteText(const std::string& text) {
    static constexpr absl::string_view kEscaped = "\"\\\n\r\t\b\f";
    static constexpr absl::string_view kLetters = "\"\\nrtbf";
    SDAR_RETURN_IF_ERROR(budget_.Charge(text.size()));
    out_.push_back('"');
    for (size_t i = 0; i < text.size();) {
      const Utf8Step step = ReadUtf8(text, i);
      const size_t letter = step.length == 1 ? kEscaped.find(text[i]) : absl::string_view::npos;
      if (letter != absl::string_view::npos) {
        out_.push_back('\\');
        out_.push_back(kLetters[letter]);
      } else if (step.code_point < 0x20 || (style_.ensure_ascii && step.code_point > 0x7E)) {
        WriteUnicodeEscape(step.code_point);
      } else {
        out_.append(text, i, step.length);
      }
      i += step.length;
    }
    out_.push_back('"');
    return absl::OkStatus();
  }

  void WriteLineBreak(int level) {
    if (!style_.indent.has_value()) return;
    out_.push_back('\n');
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
  }

  absl::Status ChargeIndent(int level) {
    return budget_.Charge(style_.indent.value_or("").size() * static_cast<size_t>(level));
  }

  absl::Status WriteList(const JinjaSequence& list, int level) {
    if (list.items.empty()) {
      out_ += "[]";
      return absl::OkStatus();
    }
    out_.push_back('[');
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      SDAR_RETURN_IF_ERROR(ChargeIndent(level + 1));
      WriteLineBreak(level + 1);
      SDAR_RETURN_IF_ERROR(Write(list.items[i], level + 1));
    }
    WriteLineBreak(level);
    out_.push_back(']');
    return absl::OkStatus();
  }

  // JSON's keys are strings: a number or constant is written as one.
  absl::Status WriteKey(const JinjaValue& key) {
    if (key.is_string()) return WriteText(key.text());
    out_.push_back('"');
    SDAR_RETURN_IF_ERROR(Write(key, 0));
    out_.push_back('"');
    return absl::OkStatus();
  }

  absl::Status WriteDict(const JinjaDict& dict, int level) {
    if (dict.items.empty()) {
      out_ += "{}";
      return absl::OkStatus();
    }
    std::vector<const std::pair<JinjaValue, JinjaValue>*> members;
    for (const auto& member : dict.items) members.push_back(&member);
    if (style_.sort_keys) SDAR_RETURN_IF_ERROR(SortMembers(members));
    out_.push_back('{');
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      SDAR_RETURN_IF_ERROR(ChargeIndent(level + 1));
      WriteLineBreak(level + 1);
      SDAR_RETURN_IF_ERROR(WriteKey(members[i]->first));
      out_ += style_.key_separator;
      SDAR_RETURN_IF_ERROR(Write(members[i]->second, level + 1));
    }
    WriteLineBreak(level);
    out_.push_back('}');
    return absl::OkStatus();
  }

  absl::Status SortMembers(std::vector<const std::pair<JinjaValue, JinjaValue>*>& members) {
    for (const auto* member : members) {
      if (!member->first.is_string()) return JinjaError("sort_keys needs keys that are strings");
    }
    std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
      return a->first.text() < b->first.text();
    });
    return absl::OkStatus();
  }

  const JsonStyle& style_;
  JinjaBudget& budget_;
  std::string out_;
};

}  // namespace

std::string ReprOfText(absl::string_view text) {
  const bool has_single = text.find('\'') != absl::string_view::npos;
  const char quote = has_single && text.find('"') == absl::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    const char32_t c = step.code_point;
    if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (IsPrintable(c)) {
      out.append(text.data() + i, step.length);
    } else {
      out += EscapeForRepr(c);
    }
    i += step.length;
  }
  out.push_back(quote);
  return out;
}

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

absl::StatusOr<std::string> PrintText(const JinjaValue& value, JinjaBudget& budget) {
  if (value.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(value.text().size()));
    return value.text();
  }
  if (value.is_undefined()) return std::string();
  if (value.is_none()) return std::string("None");
  if (value.is_bool()) return std::string(value.IsTrue() ? "True" : "False");
  if (value.is_int()) return absl::StrCat(value.integer());
  if (value.is_float()) return ReprOfFloat(value.number());
  if (value.sequence() == nullptr && value.dict() == nullptr) {
    return JinjaError(absl::StrCat("printing a ", value.TypeName(), " is not supported"));
  }
  std::string out;
  SDAR_RETURN_IF_ERROR(AppendRepr(value, budget, out));
  return out;
}

absl::StatusOr<std::string> ToJsonText(const JinjaValue& value, const JsonStyle& style,
                                       JinjaBudget& budget) {
  JsonWriter writer(style, budget);
  SDAR_RETURN_IF_ERROR(writer.Write(value, 0));
  return writer.Take();
}

}  // namespace sdar
