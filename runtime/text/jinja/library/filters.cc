// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/library/filters.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/library/methods.h"
#include "runtime/text/jinja/library/python_text.h"
#include "runtime/text/jinja/library/sequence_filters.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/print.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using Bound = std::vector<const JinjaValue*>;

constexpr size_t kUnitsPerFilter = 64;  // of work, to find it by name

Result FilterDefault(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget&) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("default", arguments, {"default_value", "boolean"}));
  const bool by_truth = bound[1] != nullptr && bound[1]->IsTrue();
  if (!value.is_undefined() && (!by_truth || value.IsTrue())) return value;
  return bound[0] == nullptr ? JinjaValue(std::string()) : *bound[0];
}

Result FilterLength(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("length", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const int64_t length, LengthOf(value, budget));
  return JinjaValue(length);
}

// A filter of text without arguments, after soft_str(value).
template <std::string (*kConvert)(absl::string_view)>
Result FilterText(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("the filter", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const JinjaValue text, PrintValue(value, budget));
  return ConvertText(text.text(), kConvert, budget);
}

// string and safe.
Result FilterString(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("the filter", arguments, {}).status());
  return PrintValue(value, budget);
}

Result FilterTrim(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue text, PrintValue(value, budget));
  return CallMethod(text, "strip", arguments, budget);
}

Result FilterReplace(const JinjaValue& value, const JinjaArguments& arguments,
                     JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("replace", arguments, {"old", "new", "count"}));
  if (bound[0] == nullptr || bound[1] == nullptr) return JinjaError("replace expects old and new");
  SDAR_ASSIGN_OR_RETURN(const JinjaValue text, PrintValue(value, budget));
  JinjaArguments converted;
  for (size_t i = 0; i < 2; ++i) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue part, PrintValue(*bound[i], budget));
    converted.positional.push_back(std::move(part));
  }
  if (bound[2] != nullptr && !bound[2]->is_none()) converted.positional.push_back(*bound[2]);
  return CallMethod(text, "replace", converted, budget);
}

// int(text, 10) where Python takes it: blanks around, a sign, single underscores between digits.
bool ParsePythonInt(absl::string_view text, int64_t* out) {
  const absl::string_view stripped = PythonStrip(text, StripSide::kBoth);
  std::string digits;
  digits.reserve(stripped.size());
  for (size_t i = 0; i < stripped.size(); ++i) {
    const bool joins = stripped[i] == '_' && i > 0 && i + 1 < stripped.size() &&
                       stripped[i - 1] != '_' && stripped[i + 1] != '_';
    if (!joins) digits.push_back(stripped[i]);
  }
  return digits.find_first_not_of("+-0123456789") == std::string::npos &&
         absl::SimpleAtoi(digits, out);
}

bool ParsePythonFloat(absl::string_view text, double* out) {
  return absl::SimpleAtod(PythonStrip(text, StripSide::kBoth), out);
}

// Reading a number from text, in both ways.
absl::Status ChargeNumber(const JinjaValue& value, JinjaBudget& budget) {
  if (!value.is_string()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(value.text()));
  return budget.Allocate(2 * value.text().size());
}

Result FilterInt(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(ChargeNumber(value, budget));
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("int", arguments, {"default", "base"}));
  if (bound[1] != nullptr && !(bound[1]->is_int() && bound[1]->integer() == 10)) {
    return JinjaError("int with a base other than 10 is not supported");
  }
  if (value.is_undefined()) return value.UndefinedError();
  const JinjaValue absent = bound[0] == nullptr ? JinjaValue(int64_t{0}) : *bound[0];
  int64_t integer = 0;
  double number = 0;
  if (value.is_int() || value.is_bool()) return JinjaValue(value.integer());
  if (value.is_string() && ParsePythonInt(value.text(), &integer)) return JinjaValue(integer);
  if (value.is_float()) {
    number = value.number();
  } else if (!value.is_string() || !ParsePythonFloat(value.text(), &number)) {
    return absent;
  }
  if (!std::isfinite(number)) return absent;
  if (std::abs(number) >= 9.2e18) return JinjaError("an integer exceeds 64 bits");
  return JinjaValue(static_cast<int64_t>(number));
}

Result FilterFloat(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(ChargeNumber(value, budget));
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("float", arguments, {"default"}));
  if (value.is_undefined()) return value.UndefinedError();
  double number = 0;
  if (value.is_number()) return JinjaValue(value.number());
  if (value.is_string() && ParsePythonFloat(value.text(), &number)) return JinjaValue(number);
  return bound[0] == nullptr ? JinjaValue(0.0) : *bound[0];
}

Result FilterAbs(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget&) {
  SDAR_RETURN_IF_ERROR(BindArguments("abs", arguments, {}).status());
  if (value.is_number() && !(value.number() < 0)) return ApplySign("+", value);
  return ApplySign("-", value);
}

Result FilterRound(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget&) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("round", arguments, {"precision", "method"}));
  const bool plain = (bound[0] == nullptr || (bound[0]->is_int() && bound[0]->integer() == 0)) &&
                     bound[1] == nullptr;
  if (!plain) return JinjaError("round with a precision or method is not supported");
  if (!value.is_number()) {
    return JinjaError(absl::StrCat("round expects a number, got ", value.TypeName()));
  }
  return value.is_float() ? JinjaValue(std::nearbyint(value.number()))
                          : JinjaValue(static_cast<int64_t>(value.integer()));
}

absl::StatusOr<JsonStyle> ReadJsonStyle(const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(
      const Bound bound,
      BindArguments("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound[0] != nullptr && bound[0]->IsTrue();
  style.sort_keys = bound[3] != nullptr && bound[3]->IsTrue();
  if (bound[1] != nullptr && bound[1]->is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Allocate(bound[1]->text().size()));
    style.indent = bound[1]->text();
  } else if (bound[1] != nullptr && !bound[1]->is_none()) {
    SDAR_ASSIGN_OR_RETURN(const int64_t width, IntArgument("tojson", *bound[1]));
    style.indent = std::string(static_cast<size_t>(std::clamp<int64_t>(width, 0, 64)), ' ');
  }
  if (style.indent.has_value()) style.item_separator = std::string(1, ',');
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const JinjaSequence* pair = bound[2]->sequence();
    if (pair == nullptr || pair->items.size() != 2 || !pair->items[0].is_string() ||
        !pair->items[1].is_string()) {
      return JinjaError("tojson expects two strings as separators");
    }
    SDAR_RETURN_IF_ERROR(
        budget.Allocate(pair->items[0].text().size() + pair->items[1].text().size()));
    style.item_separator = pair->items[0].text();
    style.key_separator = pair->items[1].text();
  }
  return style;
}

Result FilterTojson(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const JsonStyle style, ReadJsonStyle(arguments, budget));
  return ToJsonText(value, style, budget);
}

Result FilterIndent(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("indent", arguments, {"width", "first", "blank"}));
  std::string spaces(4, ' ');
  absl::string_view margin = spaces;
  if (bound[0] != nullptr && bound[0]->is_string()) {
    margin = bound[0]->text();
  } else if (bound[0] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(const int64_t width, IntArgument("indent", *bound[0]));
    spaces.assign(static_cast<size_t>(std::clamp<int64_t>(width, 0, 1000)), ' ');
    margin = spaces;
  }
  const bool indents_first = bound[1] != nullptr && bound[1]->IsTrue();
  const bool indents_blank = bound[2] != nullptr && bound[2]->IsTrue();
  // jinja2 adds a newline before it splits, so that a final line break keeps its line.
  JinjaTextBuilder whole(budget);
  SDAR_RETURN_IF_ERROR(AppendText(value, whole));
  SDAR_RETURN_IF_ERROR(whole.Append("\n"));
  const std::string text = whole.Take();
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
  JinjaTextBuilder out(budget);
  bool first = true;
  const auto add = [&](absl::string_view line) -> absl::Status {
    const bool indented = first ? indents_first : indents_blank || !line.empty();
    if (!std::exchange(first, false)) SDAR_RETURN_IF_ERROR(out.Append("\n"));
    if (indented) SDAR_RETURN_IF_ERROR(out.Append(margin));
    return out.Append(line);
  };
  SDAR_RETURN_IF_ERROR(PythonSplitLines(text, add));
  return MakeText(std::move(out));
}

struct FilterEntry {
  absl::string_view name;
  Result (*apply)(const JinjaValue&, const JinjaArguments&, JinjaBudget&);
};

constexpr FilterEntry kFilters[] = {
    {"abs", FilterAbs},
    {"capitalize", FilterText<PythonCapitalize>},
    {"count", FilterLength},
    {"d", FilterDefault},
    {"default", FilterDefault},
    {"dictsort", FilterDictsort},
    {"first", FilterFirst},
    {"float", FilterFloat},
    {"indent", FilterIndent},
    {"int", FilterInt},
    {"items", FilterItems},
    {"join", FilterJoin},
    {"last", FilterLast},
    {"length", FilterLength},
    {"list", FilterList},
    {"lower", FilterText<PythonLower>},
    {"map", FilterMap},
    {"max", FilterMax},
    {"min", FilterMin},
    {"reject", FilterReject},
    {"rejectattr", FilterRejectattr},
    {"replace", FilterReplace},
    {"reverse", FilterReverse},
    {"round", FilterRound},
    {"safe", FilterString},
    {"select", FilterSelect},
    {"selectattr", FilterSelectattr},
    {"sort", FilterSort},
    {"string", FilterString},
    {"sum", FilterSum},
    {"title", FilterText<JinjaTitle>},
    {"tojson", FilterTojson},
    {"trim", FilterTrim},
    {"unique", FilterUnique},
    {"upper", FilterText<PythonUpper>},
};

const FilterEntry* FindFilter(absl::string_view name) {
  const auto it = std::find_if(std::begin(kFilters), std::end(kFilters),
                               [&](const FilterEntry& entry) { return entry.name == name; });
  return it == std::end(kFilters) ? nullptr : it;
}

}  // namespace

bool IsKnownJinjaFilter(absl::string_view name) { return FindFilter(name) != nullptr; }

Result ApplyJinjaFilter(const std::string& name, const JinjaValue& value,
                        const JinjaArguments& arguments, JinjaBudget& budget) {
  const FilterEntry* filter = FindFilter(name);
  SDAR_CHECK(filter != nullptr);
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerFilter));
  return filter->apply(value, arguments, budget);
}

}  // namespace sdar
