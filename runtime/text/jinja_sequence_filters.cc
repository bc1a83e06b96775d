// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_sequence_filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "common/status_macros.h"
#include "runtime/text/jinja_filters.h"
#include "runtime/text/jinja_operators.h"
#include "runtime/text/jinja_print.h"
#include "runtime/text/jinja_tests.h"
#include "runtime/text/python_text.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using Bound = std::vector<const JinjaValue*>;
using SequenceKind = JinjaSequence::Kind;

absl::StatusOr<bool> Flag(const JinjaValue* value, bool absent) {
  return value == nullptr ? absent : value->IsTrue();
}

// The item of `value` that `path`, "a.b.0" or an integer, leads to; `absent`, where given, stands
// for what is undefined on the way.
Result ItemAt(const JinjaValue& value, const JinjaValue& path, JinjaBudget& budget,
              const JinjaValue* absent = nullptr) {
  if (!path.is_string()) return GetItem(value, path, budget);
  JinjaValue item = value;
  for (const absl::string_view part : absl::StrSplit(path.text(), '.')) {
    int64_t index = 0;
    const JinjaValue key =
        absl::SimpleAtoi(part, &index) ? JinjaValue(index) : JinjaValue(std::string(part));
    SDAR_ASSIGN_OR_RETURN(item, GetItem(item, key, budget));
    if (absent != nullptr && item.is_undefined()) item = *absent;
  }
  return item;
}

// What sort, min, max and unique compare: text without case unless asked.
Result SortKey(const JinjaValue& item, const JinjaValue* path, bool case_sensitive,
               JinjaBudget& budget) {
  JinjaValue key = item;
  if (path != nullptr && !path->is_none()) {
    SDAR_ASSIGN_OR_RETURN(key, ItemAt(item, *path, budget));
  }
  if (!key.is_string() || case_sensitive) return key;
  return MakeText(PythonLower(key.text()), budget);
}

struct Keyed {
  JinjaValue key;
  JinjaValue item;
};

absl::StatusOr<std::vector<Keyed>> KeyedItems(const JinjaValue& value, const JinjaValue* path,
                                              bool case_sensitive, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  std::vector<Keyed> keyed;
  for (const JinjaValue& item : items->items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue key, SortKey(item, path, case_sensitive, budget));
    keyed.push_back({std::move(key), item});
  }
  return keyed;
}

// Stable sort by key. Merging by hand, because comparisons can fail.
absl::Status SortKeyed(std::vector<Keyed>& keyed, bool reverse, JinjaBudget& budget) {
  std::vector<Keyed> merged(keyed.size());
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    for (size_t low = 0; low < keyed.size(); low += 2 * width) {
      const size_t middle = std::min(low + width, keyed.size());
      const size_t high = std::min(low + 2 * width, keyed.size());
      size_t left = low;
      size_t right = middle;
      for (size_t out = low; out < high; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < high) {
          const JinjaValue& a = keyed[left].key;
          const JinjaValue& b = keyed[right].key;
          SDAR_ASSIGN_OR_RETURN(take_right, reverse ? IsLess(a, b, budget) : IsLess(b, a, budget));
        }
        merged[out] = std::move(keyed[take_right ? right++ : left++]);
      }
    }
    keyed.swap(merged);
  }
  return absl::OkStatus();
}

Result ItemsOf(std::vector<Keyed> keyed, JinjaBudget& budget) {
  JinjaValues items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return MakeSequence(SequenceKind::kList, std::move(items), budget);
}

Result Extreme(absl::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
               bool largest, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments(name, arguments, {"case_sensitive", "attribute"}));
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(auto keyed, KeyedItems(value, bound[1], case_sensitive, budget));
  if (keyed.empty()) return JinjaValue::MakeUndefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  for (size_t i = 1; i < keyed.size(); ++i) {
    const JinjaValue& a = keyed[largest ? best : i].key;
    const JinjaValue& b = keyed[largest ? i : best].key;
    SDAR_ASSIGN_OR_RETURN(const bool better, IsLess(a, b, budget));
    if (better) best = i;
  }
  return keyed[best].item;
}

// select, reject and their attr forms: `first` is the position of the test's name.
Result Choose(absl::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
              bool by_attribute, bool wanted, JinjaBudget& budget) {
  const size_t first = by_attribute ? 1 : 0;
  if (arguments.positional.size() < first) {
    return JinjaError(absl::StrCat(name, " lacks the attribute's name"));
  }
  std::string test;
  JinjaArguments test_arguments;
  if (arguments.positional.size() > first) {
    SDAR_ASSIGN_OR_RETURN(const absl::string_view text,
                          TextArgument(name, arguments.positional[first]));
    test = std::string(text);
    if (!IsKnownJinjaTest(test)) {
      return JinjaError(absl::StrCat("the test '", test, "' is not supported"));
    }
    test_arguments.positional.assign(
        arguments.positional.begin() + static_cast<std::ptrdiff_t>(first) + 1,
        arguments.positional.end());
    test_arguments.named = arguments.named;
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  JinjaValues chosen;
  for (const JinjaValue& item : items->items) {
    JinjaValue subject = item;
    if (by_attribute) {
      SDAR_ASSIGN_OR_RETURN(subject, ItemAt(item, arguments.positional[0], budget));
    }
    bool holds = subject.IsTrue();
    if (!test.empty()) {
      SDAR_ASSIGN_OR_RETURN(holds, ApplyJinjaTest(test, subject, test_arguments, budget));
    }
    if (holds == wanted) chosen.push_back(item);
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(chosen), budget);
}

Result MapAttribute(const JinjaSequence& items, const JinjaArguments& arguments,
                    JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("map", arguments, {"attribute", "default"}));
  JinjaValues out;
  for (const JinjaValue& item : items.items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue mapped, ItemAt(item, *bound[0], budget, bound[1]));
    if (mapped.is_undefined() && bound[1] != nullptr) mapped = *bound[1];
    out.push_back(std::move(mapped));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(out), budget);
}

}  // namespace

Result FilterMap(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (arguments.positional.empty() && !arguments.named.empty() &&
      arguments.named[0].first == "attribute") {
    return MapAttribute(*items, arguments, budget);
  }
  if (arguments.positional.empty()) return JinjaError("map requires a filter argument");
  SDAR_ASSIGN_OR_RETURN(const absl::string_view text, TextArgument("map", arguments.positional[0]));
  const std::string name(text);
  if (!IsKnownJinjaFilter(name) || name == "map") {
    return JinjaError(absl::StrCat("the filter '", name, "' is not supported in map"));
  }
  JinjaArguments rest;
  rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  rest.named = arguments.named;
  JinjaValues out;
  for (const JinjaValue& item : items->items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue mapped, ApplyJinjaFilter(name, item, rest, budget));
    out.push_back(std::move(mapped));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(out), budget);
}

Result FilterSelect(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  return Choose("select", value, arguments, false, true, budget);
}
Result FilterReject(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  return Choose("reject", value, arguments, false, false, budget);
}
Result FilterSelectattr(const JinjaValue& value, const JinjaArguments& arguments,
                        JinjaBudget& budget) {
  return Choose("selectattr", value, arguments, true, true, budget);
}
Result FilterRejectattr(const JinjaValue& value, const JinjaArguments& arguments,
                        JinjaBudget& budget) {
  return Choose("rejectattr", value, arguments, true, false, budget);
}
Result FilterMax(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  return Extreme("max", value, arguments, true, budget);
}
Result FilterMin(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  return Extreme("min", value, arguments, false, budget);
}

Result FilterSort(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(
      const Bound bound,
      BindArguments("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  SDAR_ASSIGN_OR_RETURN(const bool reverse, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[1], false));
  SDAR_ASSIGN_OR_RETURN(auto keyed, KeyedItems(value, bound[2], case_sensitive, budget));
  SDAR_RETURN_IF_ERROR(SortKeyed(keyed, reverse, budget));
  return ItemsOf(std::move(keyed), budget);
}

Result FilterDictsort(const JinjaValue& value, const JinjaArguments& arguments,
                      JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  if (value.dict() == nullptr) {
    return JinjaError(absl::StrCat("dictsort expects a dict, got ", value.TypeName()));
  }
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(const bool reverse, Flag(bound[2], false));
  absl::string_view by = "key";
  if (bound[1] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(by, TextArgument("dictsort", *bound[1]));
  }
  if (by != "key" && by != "value") return JinjaError("dictsort sorts by 'key' or 'value'");
  std::vector<Keyed> keyed;
  for (const auto& [name, item] : value.dict()->items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue key,
                          SortKey(by == "key" ? name : item, nullptr, case_sensitive, budget));
    SDAR_ASSIGN_OR_RETURN(JinjaValue pair,
                          MakeSequence(SequenceKind::kTuple, {name, item}, budget));
    keyed.push_back({std::move(key), std::move(pair)});
  }
  SDAR_RETURN_IF_ERROR(SortKeyed(keyed, reverse, budget));
  return ItemsOf(std::move(keyed), budget);
}

Result FilterUnique(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("unique", arguments, {"case_sensitive", "attribute"}));
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(auto keyed, KeyedItems(value, bound[1], case_sensitive, budget));
  std::vector<Keyed> kept;
  for (Keyed& entry : keyed) {
    bool seen = false;
    for (size_t i = 0; i < kept.size() && !seen; ++i) {
      SDAR_ASSIGN_OR_RETURN(seen, AreEqual(kept[i].key, entry.key, budget));
    }
    if (!seen) kept.push_back(std::move(entry));
  }
  JinjaValues items;
  for (Keyed& entry : kept) items.push_back(std::move(entry.item));
  return MakeSequence(SequenceKind::kGenerator, std::move(items), budget);
}

Result FilterFirst(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("first", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (items->items.empty()) return JinjaValue::MakeUndefined("No first item, sequence was empty.");
  return items->items.front();
}

Result FilterLast(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("last", arguments, {}).status());
  if (value.sequence() != nullptr && value.sequence()->kind == SequenceKind::kGenerator) {
    return JinjaError("a generator has no last item; use |list first");
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (items->items.empty()) return JinjaValue::MakeUndefined("No last item, sequence was empty.");
  return items->items.back();
}

Result FilterList(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("list", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  return MakeSequence(SequenceKind::kList, items->items, budget);
}

Result FilterItems(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("items", arguments, {}).status());
  JinjaValues pairs;
  if (!value.is_undefined() && value.dict() == nullptr) {
    return JinjaError("Can only get item pairs from a mapping.");
  }
  if (value.dict() != nullptr) {
    for (const auto& [key, item] : value.dict()->items) {
      SDAR_ASSIGN_OR_RETURN(JinjaValue pair,
                            MakeSequence(SequenceKind::kTuple, {key, item}, budget));
      pairs.push_back(std::move(pair));
    }
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(pairs), budget);
}

Result FilterJoin(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("join", arguments, {"d", "attribute"}));
  std::string separator;
  if (bound[0] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(separator, PrintText(*bound[0], budget));
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    JinjaValue item = items->items[i];
    if (bound[1] != nullptr && !bound[1]->is_none()) {
      SDAR_ASSIGN_OR_RETURN(item, ItemAt(item, *bound[1], budget));
    }
    SDAR_ASSIGN_OR_RETURN(const std::string text, PrintText(item, budget));
    SDAR_RETURN_IF_ERROR(budget.Charge(text.size() + separator.size()));
    absl::StrAppend(&out, i == 0 ? "" : separator, text);
  }
  return JinjaValue(std::move(out));
}

Result FilterReverse(const JinjaValue& value, const JinjaArguments& arguments,
                     JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("reverse", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  JinjaValues reversed(items->items.rbegin(), items->items.rend());
  if (!value.is_string()) {
    return MakeSequence(SequenceKind::kGenerator, std::move(reversed), budget);
  }
  std::string out;
  for (const JinjaValue& character : reversed) out += character.text();
  return MakeText(std::move(out), budget);
}

Result FilterSum(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("sum", arguments, {"attribute", "start"}));
  JinjaValue sum = bound[1] == nullptr ? JinjaValue(int64_t{0}) : *bound[1];
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  for (const JinjaValue& item : items->items) {
    JinjaValue addend = item;
    if (bound[0] != nullptr && !bound[0]->is_none()) {
      SDAR_ASSIGN_OR_RETURN(addend, ItemAt(item, *bound[0], budget));
    }
    SDAR_ASSIGN_OR_RETURN(sum, ApplyBinary("+", sum, addend, budget));
  }
  return sum;
}

}  // namespace sdar
