// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/library/methods.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/library/python_text.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using SequenceKind = JinjaSequence::Kind;

constexpr absl::string_view kTextMethods[] = {
    "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
    "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
    "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
    "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
    "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
    "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
    "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
    "swapcase",     "title",       "translate", "upper",      "zfill"};
constexpr absl::string_view kDictMethods[] = {"clear",      "copy",   "fromkeys", "get",
                                              "items",      "keys",   "pop",      "popitem",
                                              "setdefault", "update", "values"};
constexpr absl::string_view kListMethods[] = {"append", "clear",   "copy",   "count",
                                              "extend", "index",   "insert", "pop",
                                              "remove", "reverse", "sort"};

template <size_t kSize>
bool IsOneOf(const absl::string_view (&names)[kSize], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Collects parts of a text as values.
absl::Status AddText(absl::string_view part, JinjaItems& items) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue value, MakeText(part, items.budget()));
  return items.Add(std::move(value));
}

using Arguments = std::vector<const JinjaValue*>;

absl::StatusOr<std::optional<absl::string_view>> OptionalText(absl::string_view callee,
                                                              const JinjaValue* value) {
  if (value == nullptr || value->is_none()) return std::optional<absl::string_view>();
  SDAR_ASSIGN_OR_RETURN(const absl::string_view text, TextArgument(callee, *value));
  return std::optional<absl::string_view>(text);
}

Result Strip(const std::string& text, const std::string& name, const JinjaArguments& arguments,
             JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindArguments(name, arguments, {"chars"}));
  SDAR_ASSIGN_OR_RETURN(const auto characters, OptionalText(name, bound[0]));
  const StripSide side = name == "strip"    ? StripSide::kBoth
                         : name == "lstrip" ? StripSide::kLeft
                                            : StripSide::kRight;
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, characters.value_or("")));
  SDAR_RETURN_IF_ERROR(budget.Allocate(characters.value_or("").size()));
  return MakeText(PythonStrip(text, side, characters), budget);
}

// The items from the last to the first.
Result MakeReversedList(JinjaItems items, JinjaBudget& budget) {
  JinjaValues values = items.Take();
  JinjaItems reversed(budget);
  SDAR_RETURN_IF_ERROR(reversed.Reserve(values.size()));
  for (size_t i = values.size(); i-- > 0;) {
    SDAR_RETURN_IF_ERROR(reversed.Add(std::move(values[i])));
  }
  return MakeSequence(SequenceKind::kList, std::move(reversed));
}

Result Split(const std::string& text, const std::string& name, const JinjaArguments& arguments,
             JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindArguments(name, arguments, {"sep", "maxsplit"}));
  SDAR_ASSIGN_OR_RETURN(const auto separator, OptionalText(name, bound[0]));
  int64_t limit = -1;
  if (bound[1] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(limit, IntArgument(name, *bound[1]));
  }
  if (separator.has_value() && separator->empty()) return JinjaError("empty separator");
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, separator.value_or("")));
  JinjaItems items(budget);
  const auto add = [&](absl::string_view part) { return AddText(part, items); };
  if (name == "split") {
    SDAR_RETURN_IF_ERROR(PythonSplit(text, separator, limit, add));
    return MakeSequence(SequenceKind::kList, std::move(items));
  }
  if (!separator.has_value()) return JinjaError("rsplit without a separator is not supported");
  SDAR_RETURN_IF_ERROR(budget.Allocate(FindLastBytes(*separator)));
  SDAR_RETURN_IF_ERROR(PythonRightSplit(text, *separator, limit, add));
  return MakeReversedList(std::move(items), budget);
}

absl::StatusOr<bool> HasAffix(absl::string_view text, const std::string& name,
                              const JinjaValue& value, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const absl::string_view affix, TextArgument(name, value));
  SDAR_RETURN_IF_ERROR(budget.Charge(8 + std::min(text.size(), affix.size())));
  return name == "startswith" ? absl::StartsWith(text, affix) : absl::EndsWith(text, affix);
}

Result StartsOrEnds(const std::string& text, const std::string& name,
                    const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired(name, arguments, {"prefix"}));
  const JinjaSequence* tuple = bound[0]->sequence();
  if (tuple == nullptr || tuple->kind != SequenceKind::kTuple) {
    SDAR_ASSIGN_OR_RETURN(const bool has, HasAffix(text, name, *bound[0], budget));
    return JinjaValue(has);
  }
  for (const JinjaValue& value : tuple->items) {
    SDAR_ASSIGN_OR_RETURN(const bool has, HasAffix(text, name, value, budget));
    if (has) return JinjaValue(true);
  }
  return JinjaValue(false);
}

Result Find(const std::string& text, const std::string& name, const JinjaArguments& arguments,
            JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired(name, arguments, {"sub"}));
  SDAR_ASSIGN_OR_RETURN(const absl::string_view part, TextArgument(name, *bound[0]));
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, part));
  const absl::string_view whole = text;
  if (name == "count") {
    if (part.empty()) return JinjaValue(CountCodePoints(text) + 1);
    return JinjaValue(static_cast<int64_t>(CountText(whole, part)));
  }
  const bool right = name == "rfind" || name == "rindex";
  if (right) SDAR_RETURN_IF_ERROR(budget.Allocate(FindLastBytes(part)));
  const size_t found = right ? FindLastText(whole, part) : FindText(whole, part);
  if (found != absl::string_view::npos) {
    return JinjaValue(CountCodePoints(whole.substr(0, found)));
  }
  if (name == "find" || name == "rfind") return JinjaValue(int64_t{-1});
  return JinjaError("substring not found");
}

Result Partition(const std::string& text, const std::string& name, const JinjaArguments& arguments,
                 JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired(name, arguments, {"sep"}));
  SDAR_ASSIGN_OR_RETURN(const absl::string_view separator, TextArgument(name, *bound[0]));
  if (separator.empty()) return JinjaError("empty separator");
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, separator));
  const absl::string_view whole = text;
  const bool right = name == "rpartition";
  if (right) SDAR_RETURN_IF_ERROR(budget.Allocate(FindLastBytes(separator)));
  const size_t found = right ? FindLastText(whole, separator) : FindText(whole, separator);
  std::array<absl::string_view, 3> parts = {right ? "" : whole, "", right ? whole : ""};
  if (found != absl::string_view::npos) {
    parts = {whole.substr(0, found), separator, whole.substr(found + separator.size())};
  }
  JinjaItems items(budget);
  for (const absl::string_view part : parts) SDAR_RETURN_IF_ERROR(AddText(part, items));
  return MakeSequence(SequenceKind::kTuple, std::move(items));
}

Result RemoveAffix(const std::string& text, const std::string& name,
                   const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired(name, arguments, {"affix"}));
  SDAR_ASSIGN_OR_RETURN(const absl::string_view affix, TextArgument(name, *bound[0]));
  SDAR_RETURN_IF_ERROR(budget.Charge(std::min(text.size(), affix.size())));
  absl::string_view rest = text;
  if (name == "removeprefix" && absl::StartsWith(rest, affix)) rest.remove_prefix(affix.size());
  if (name == "removesuffix" && absl::EndsWith(rest, affix)) rest.remove_suffix(affix.size());
  return MakeText(rest, budget);
}

Result Replace(const std::string& text, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound,
                        BindArguments("replace", arguments, {"old", "new", "count"}));
  if (bound[0] == nullptr || bound[1] == nullptr) {
    return JinjaError("replace expects at least 2 arguments");
  }
  SDAR_ASSIGN_OR_RETURN(const absl::string_view from, TextArgument("replace", *bound[0]));
  SDAR_ASSIGN_OR_RETURN(const absl::string_view to, TextArgument("replace", *bound[1]));
  int64_t limit = -1;
  if (bound[2] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(limit, IntArgument("replace", *bound[2]));
  }
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, from));
  SDAR_RETURN_IF_ERROR(budget.ChargeSearch(text, from));
  size_t found = text.size() + 1;
  if (!from.empty()) {
    found = CountText(text, from, limit);
  } else if (limit >= 0) {
    found = static_cast<size_t>(std::min(limit, static_cast<int64_t>(found)));
  }
  const size_t size = text.size() - found * from.size() + found * to.size();
  SDAR_RETURN_IF_ERROR(budget.Charge(8 * found + size));
  SDAR_RETURN_IF_ERROR(budget.Allocate(size));
  return MakeBuiltText(PythonReplace(text, from, to, limit, size), budget);
}

Result Join(const std::string& text, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired("join", arguments, {"iterable"}));
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(*bound[0], budget));
  JinjaTextBuilder out(budget);
  for (size_t i = 0; i < items->items.size(); ++i) {
    SDAR_ASSIGN_OR_RETURN(const absl::string_view part, TextArgument("join", items->items[i]));
    if (i > 0) SDAR_RETURN_IF_ERROR(out.Append(text));
    SDAR_RETURN_IF_ERROR(out.Append(part));
  }
  return MakeText(std::move(out));
}

Result ChangeCase(const std::string& text, const std::string& name, const JinjaArguments& arguments,
                  JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments(name, arguments, {}).status());
  if (name == "upper") return ConvertText(text, PythonUpper, budget);
  if (name == "lower") return ConvertText(text, PythonLower, budget);
  if (name == "title") return ConvertText(text, PythonTitle, budget);
  return ConvertText(text, PythonCapitalize, budget);
}

// isdigit and isspace, for the text that templates ask about: ASCII digits and white space.
Result Classify(const std::string& text, const std::string& name, const JinjaArguments& arguments,
                JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments(name, arguments, {}).status());
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
  if (name == "isspace") {
    return JinjaValue(!text.empty() && PythonStrip(text, StripSide::kBoth).empty());
  }
  if (!IsAsciiText(text)) {
    return JinjaError("isdigit of text beyond ASCII is not supported");
  }
  return JinjaValue(!text.empty() && text.find_first_not_of("0123456789") == std::string::npos);
}

Result CallTextMethod(const std::string& text, const std::string& name,
                      const JinjaArguments& arguments, JinjaBudget& budget) {
  const auto is = [&](std::initializer_list<absl::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is({"strip", "lstrip", "rstrip"})) return Strip(text, name, arguments, budget);
  if (is({"split", "rsplit"})) return Split(text, name, arguments, budget);
  if (is({"startswith", "endswith"})) return StartsOrEnds(text, name, arguments, budget);
  if (is({"find", "rfind", "index", "rindex", "count"})) return Find(text, name, arguments, budget);
  if (is({"partition", "rpartition"})) return Partition(text, name, arguments, budget);
  if (is({"removeprefix", "removesuffix"})) return RemoveAffix(text, name, arguments, budget);
  if (is({"upper", "lower", "title", "capitalize"})) {
    return ChangeCase(text, name, arguments, budget);
  }
  if (is({"isdigit", "isspace"})) return Classify(text, name, arguments, budget);
  if (name == "replace") return Replace(text, arguments, budget);
  if (name == "join") return Join(text, arguments, budget);
  if (name == "splitlines") {
    SDAR_RETURN_IF_ERROR(BindArguments(name, arguments, {}).status());
    SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
    JinjaItems items(budget);
    SDAR_RETURN_IF_ERROR(
        PythonSplitLines(text, [&](absl::string_view line) { return AddText(line, items); }));
    return MakeSequence(SequenceKind::kList, std::move(items));
  }
  return JinjaError(absl::StrCat("the string method '", name, "' is not supported"));
}

Result CallDictMethod(const JinjaValue& self, const std::string& name,
                      const JinjaArguments& arguments, JinjaBudget& budget) {
  const JinjaDict& dict = *self.dict();
  if (name == "get") {
    SDAR_ASSIGN_OR_RETURN(const Arguments bound,
                          BindArguments(name, arguments, {"key", "default"}));
    if (bound[0] == nullptr) return JinjaError("get expects at least 1 argument");
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* value, dict.Find(*bound[0], budget));
    if (value != nullptr) return *value;
    return bound[1] == nullptr ? JinjaValue() : *bound[1];
  }
  if (name == "copy") return self;
  if (name != "items" && name != "keys" && name != "values") {
    return JinjaError(absl::StrCat("the dict method '", name, "' is not supported"));
  }
  SDAR_RETURN_IF_ERROR(BindArguments(name, arguments, {}).status());
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(dict.items.size()));
  for (const auto& [key, value] : dict.items) {
    if (name == "items") {
      SDAR_ASSIGN_OR_RETURN(JinjaValue pair, MakePair(key, value, budget));
      SDAR_RETURN_IF_ERROR(items.Add(std::move(pair)));
    } else {
      SDAR_RETURN_IF_ERROR(items.Add(name == "keys" ? key : value));
    }
  }
  return MakeSequence(SequenceKind::kView, std::move(items));
}

Result CallListMethod(const JinjaValue& self, const std::string& name,
                      const JinjaArguments& arguments, JinjaBudget& budget) {
  if (name == "copy") return self;
  if (name != "count" && name != "index") {
    return JinjaError(absl::StrCat("the list method '", name,
                                   "' is not supported: templates may not change lists"));
  }
  SDAR_ASSIGN_OR_RETURN(const Arguments bound, BindRequired(name, arguments, {"value"}));
  int64_t count = 0;
  const JinjaValues& items = self.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    SDAR_ASSIGN_OR_RETURN(const bool equal, AreEqual(items[i], *bound[0], budget));
    if (equal && name == "index") return JinjaValue(static_cast<int64_t>(i));
    if (equal) ++count;
  }
  if (name == "index") return JinjaError("the value is not in the list");
  return JinjaValue(count);
}

}  // namespace

bool IsPythonMethod(const JinjaValue& object, const std::string& name) {
  if (object.is_string()) return IsOneOf(kTextMethods, name);
  if (object.dict() != nullptr) return IsOneOf(kDictMethods, name);
  const JinjaSequence* items = object.sequence();
  return items != nullptr && items->kind != SequenceKind::kGenerator && IsOneOf(kListMethods, name);
}

Result ConvertText(absl::string_view text, std::string (*convert)(absl::string_view),
                   JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
  SDAR_RETURN_IF_ERROR(budget.Allocate(2 * text.size()));
  return MakeBuiltText(convert(text), budget);
}

Result CallMethod(const JinjaValue& self, const std::string& name, const JinjaArguments& arguments,
                  JinjaBudget& budget) {
  if (self.is_string()) return CallTextMethod(self.text(), name, arguments, budget);
  if (self.dict() != nullptr) return CallDictMethod(self, name, arguments, budget);
  return CallListMethod(self, name, arguments, budget);
}

}  // namespace sdar
