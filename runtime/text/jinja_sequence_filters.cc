// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_sequence_filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja_filters.h"
#include "runtime/text/jinja_key_index.h"
#include "runtime/text/jinja_methods.h"
#include "runtime/text/jinja_operators.h"
#include "runtime/text/jinja_print.h"
#include "runtime/text/jinja_tests.h"
#include "runtime/text/python_text.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using Bound = std::vector<const JinjaValue*>;
using SequenceKind = JinjaSequence::Kind;

constexpr size_t kUnitsPerElement = 32;  // of work

absl::StatusOr<bool> Flag(const JinjaValue* value, bool absent) {
  return value == nullptr ? absent : value->IsTrue();
}

// The steps of a path, "a.b.0" or an integer.
absl::StatusOr<JinjaValues> ReadPath(const JinjaValue& path, JinjaBudget& budget) {
  JinjaItems steps(budget);
  if (!path.is_string()) {
    SDAR_RETURN_IF_ERROR(steps.Add(path));
    return steps.Take();
  }
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(path.text()));
  for (const absl::string_view part : absl::StrSplit(path.text(), '.')) {
    int64_t index = 0;
    if (absl::SimpleAtoi(part, &index)) {
      SDAR_RETURN_IF_ERROR(steps.Add(JinjaValue(index)));
    } else {
      SDAR_ASSIGN_OR_RETURN(JinjaValue name, MakeText(part, budget));
      SDAR_RETURN_IF_ERROR(steps.Add(std::move(name)));
    }
  }
  return steps.Take();
}

// The steps of an argument that may be absent; none: the item itself.
absl::StatusOr<JinjaValues> ReadOptionalPath(const JinjaValue* path, JinjaBudget& budget) {
  if (path == nullptr || path->is_none()) return JinjaValues();
  return ReadPath(*path, budget);
}

// The item of `value` that `path` leads to; `absent`, where given, stands for what is undefined on
// the way.
Result ItemAt(const JinjaValue& value, const JinjaValues& path, JinjaBudget& budget,
              const JinjaValue* absent = nullptr) {
  JinjaValue item = value;
  for (const JinjaValue& key : path) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(item, GetItem(item, key, budget));
    if (absent != nullptr && item.is_undefined()) item = *absent;
  }
  return item;
}

// What sort, min, max and unique compare: text without case unless asked.
Result SortKey(const JinjaValue& item, const JinjaValues& path, bool case_sensitive,
               JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue key, ItemAt(item, path, budget));
  if (!key.is_string() || case_sensitive) return key;
  return ConvertText(key.text(), PythonLower, budget);
}

// Items under their sort keys.
using KeyedItems = std::vector<JinjaMember>;

absl::StatusOr<KeyedItems> ReadKeyedItems(const JinjaValue& value, const JinjaValue* attribute,
                                          bool case_sensitive, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValues path, ReadOptionalPath(attribute, budget));
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  SDAR_RETURN_IF_ERROR(budget.Allocate(items->items.size() * sizeof(JinjaMember)));
  KeyedItems keyed;
  keyed.reserve(items->items.size());
  for (const JinjaValue& item : items->items) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(JinjaValue key, SortKey(item, path, case_sensitive, budget));
    keyed.emplace_back(std::move(key), item);
  }
  return keyed;
}

// Stable sort by key. Merging by hand, because comparisons can fail.
absl::Status SortKeyed(KeyedItems& keyed, bool reverse, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Allocate(keyed.size() * sizeof(JinjaMember)));
  KeyedItems merged(keyed.size());
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement * keyed.size()));
    for (size_t low = 0; low < keyed.size(); low += 2 * width) {
      const size_t middle = std::min(low + width, keyed.size());
      const size_t high = std::min(low + 2 * width, keyed.size());
      size_t left = low;
      size_t right = middle;
      for (size_t out = low; out < high; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < high) {
          const JinjaValue& a = keyed[left].first;
          const JinjaValue& b = keyed[right].first;
          SDAR_ASSIGN_OR_RETURN(take_right, reverse ? IsLess(a, b, budget) : IsLess(b, a, budget));
        }
        merged[out] = std::move(keyed[take_right ? right++ : left++]);
      }
    }
    keyed.swap(merged);
  }
  return absl::OkStatus();
}

Result ItemsOf(SequenceKind kind, KeyedItems keyed, JinjaBudget& budget) {
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(keyed.size()));
  for (auto& [key, item] : keyed) SDAR_RETURN_IF_ERROR(items.Add(std::move(item)));
  return MakeSequence(kind, std::move(items));
}

Result Extreme(absl::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
               bool largest, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments(name, arguments, {"case_sensitive", "attribute"}));
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(auto keyed, ReadKeyedItems(value, bound[1], case_sensitive, budget));
  if (keyed.empty()) return MakeUndefined("No aggregated item, sequence was empty.", budget);
  size_t best = 0;
  for (size_t i = 1; i < keyed.size(); ++i) {
    const JinjaValue& a = keyed[largest ? best : i].first;
    const JinjaValue& b = keyed[largest ? i : best].first;
    SDAR_ASSIGN_OR_RETURN(const bool better, IsLess(a, b, budget));
    if (better) best = i;
  }
  return keyed[best].second;
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
    SDAR_RETURN_IF_ERROR(budget.Charge(text.size()));
    test = std::string(Shorten(text));
    if (!IsKnownJinjaTest(test)) {
      return JinjaError(absl::StrCat("the test '", Shorten(test), "' is not supported"));
    }
    test_arguments.positional.assign(
        arguments.positional.begin() + static_cast<std::ptrdiff_t>(first) + 1,
        arguments.positional.end());
    test_arguments.named = arguments.named;
  }
  JinjaValues path;
  if (by_attribute) {
    SDAR_ASSIGN_OR_RETURN(path, ReadPath(arguments.positional[0], budget));
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  JinjaItems chosen(budget);
  for (const JinjaValue& item : items->items) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(const JinjaValue subject, ItemAt(item, path, budget));
    bool holds = subject.IsTrue();
    if (!test.empty()) {
      SDAR_ASSIGN_OR_RETURN(holds, ApplyJinjaTest(test, subject, test_arguments, budget));
    }
    if (holds == wanted) SDAR_RETURN_IF_ERROR(chosen.Add(item));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(chosen));
}

Result MapAttribute(const JinjaSequence& items, const JinjaArguments& arguments,
                    JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("map", arguments, {"attribute", "default"}));
  SDAR_ASSIGN_OR_RETURN(const JinjaValues path, ReadPath(*bound[0], budget));
  JinjaItems out(budget);
  for (const JinjaValue& item : items.items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue mapped, ItemAt(item, path, budget, bound[1]));
    if (mapped.is_undefined() && bound[1] != nullptr) mapped = *bound[1];
    SDAR_RETURN_IF_ERROR(out.Add(std::move(mapped)));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(out));
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
  const std::string name = Shorten(text);
  if (!IsKnownJinjaFilter(name) || name == "map") {
    return JinjaError(absl::StrCat("the filter '", name, "' is not supported in map"));
  }
  JinjaArguments rest;
  rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  rest.named = arguments.named;
  JinjaItems out(budget);
  for (const JinjaValue& item : items->items) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue mapped, ApplyJinjaFilter(name, item, rest, budget));
    SDAR_RETURN_IF_ERROR(out.Add(std::move(mapped)));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(out));
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
  SDAR_ASSIGN_OR_RETURN(auto keyed, ReadKeyedItems(value, bound[2], case_sensitive, budget));
  SDAR_RETURN_IF_ERROR(SortKeyed(keyed, reverse, budget));
  return ItemsOf(SequenceKind::kList, std::move(keyed), budget);
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
  const auto& members = value.dict()->items;
  SDAR_RETURN_IF_ERROR(budget.Allocate(members.size() * sizeof(JinjaMember)));
  KeyedItems keyed;
  keyed.reserve(members.size());
  for (const auto& [name, item] : members) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue key,
                          SortKey(by == "key" ? name : item, {}, case_sensitive, budget));
    SDAR_ASSIGN_OR_RETURN(JinjaValue pair, MakePair(name, item, budget));
    keyed.emplace_back(std::move(key), std::move(pair));
  }
  SDAR_RETURN_IF_ERROR(SortKeyed(keyed, reverse, budget));
  return ItemsOf(SequenceKind::kList, std::move(keyed), budget);
}

Result FilterUnique(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound,
                        BindArguments("unique", arguments, {"case_sensitive", "attribute"}));
  SDAR_ASSIGN_OR_RETURN(const bool case_sensitive, Flag(bound[0], false));
  SDAR_ASSIGN_OR_RETURN(auto keyed, ReadKeyedItems(value, bound[1], case_sensitive, budget));
  SDAR_RETURN_IF_ERROR(budget.Allocate(JinjaKeyIndex::BytesFor(keyed.size()) +
                                       keyed.size() * (sizeof(JinjaMember) + sizeof(void*))));
  KeyedItems kept;  // those with a hash
  kept.reserve(keyed.size());
  JinjaKeyIndex index(kept);
  index.Reserve(keyed.size());
  std::vector<const JinjaValue*> others;  // keys without: lists, dicts and the like
  JinjaItems items(budget);
  for (auto& [key, item] : keyed) {
    bool seen = false;
    if (const auto hashed = JinjaKey::Of(key)) {
      SDAR_RETURN_IF_ERROR(budget.Charge(2 * JinjaKeyIndex::WorkFor(*hashed)));
      seen = index.Find(*hashed).has_value();
      if (!seen) {
        kept.emplace_back(key, JinjaValue());
        index.NoteNext();
      }
    } else {
      for (size_t i = 0; i < others.size() && !seen; ++i) {
        SDAR_ASSIGN_OR_RETURN(seen, AreEqual(*others[i], key, budget));
      }
      if (!seen) others.push_back(&key);
    }
    if (!seen) SDAR_RETURN_IF_ERROR(items.Add(item));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(items));
}

Result FilterFirst(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("first", arguments, {}).status());
  if (value.is_string() && !value.text().empty()) {
    return MakeText(CodePointRange(value.text(), 0, 1), budget);
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (items->items.empty()) return MakeUndefined("No first item, sequence was empty.", budget);
  return items->items.front();
}

Result FilterLast(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("last", arguments, {}).status());
  if (value.sequence() != nullptr && value.sequence()->kind == SequenceKind::kGenerator) {
    return JinjaError("a generator has no last item; use |list first");
  }
  if (value.is_string()) return GetItem(value, JinjaValue(int64_t{-1}), budget);
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (items->items.empty()) return MakeUndefined("No last item, sequence was empty.", budget);
  return items->items.back();
}

Result FilterList(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("list", arguments, {}).status());
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  if (items->kind == SequenceKind::kList) return JinjaValue(items);
  JinjaItems copied(budget);
  SDAR_RETURN_IF_ERROR(copied.Reserve(items->items.size()));
  for (const JinjaValue& item : items->items) SDAR_RETURN_IF_ERROR(copied.Add(item));
  return MakeSequence(SequenceKind::kList, std::move(copied));
}

Result FilterItems(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("items", arguments, {}).status());
  JinjaItems pairs(budget);
  if (!value.is_undefined() && value.dict() == nullptr) {
    return JinjaError("Can only get item pairs from a mapping.");
  }
  if (value.dict() != nullptr) {
    for (const auto& [key, item] : value.dict()->items) {
      SDAR_ASSIGN_OR_RETURN(JinjaValue pair, MakePair(key, item, budget));
      SDAR_RETURN_IF_ERROR(pairs.Add(std::move(pair)));
    }
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(pairs));
}

Result FilterJoin(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("join", arguments, {"d", "attribute"}));
  JinjaValue separator{std::string()};
  if (bound[0] != nullptr) {
    SDAR_ASSIGN_OR_RETURN(separator, PrintValue(*bound[0], budget));
  }
  SDAR_ASSIGN_OR_RETURN(const JinjaValues path, ReadOptionalPath(bound[1], budget));
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  JinjaTextBuilder out(budget);
  for (size_t i = 0; i < items->items.size(); ++i) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(const JinjaValue item, ItemAt(items->items[i], path, budget));
    if (i > 0) SDAR_RETURN_IF_ERROR(out.Append(separator.text()));
    SDAR_RETURN_IF_ERROR(AppendText(item, out));
  }
  return MakeText(std::move(out));
}

Result FilterReverse(const JinjaValue& value, const JinjaArguments& arguments,
                     JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(BindArguments("reverse", arguments, {}).status());
  if (value.is_string()) {
    return GetSlice(value, JinjaValue(), JinjaValue(), JinjaValue(int64_t{-1}), budget);
  }
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  JinjaItems reversed(budget);
  SDAR_RETURN_IF_ERROR(reversed.Reserve(items->items.size()));
  for (size_t i = items->items.size(); i-- > 0;) {
    SDAR_RETURN_IF_ERROR(reversed.Add(items->items[i]));
  }
  return MakeSequence(SequenceKind::kGenerator, std::move(reversed));
}

Result FilterSum(const JinjaValue& value, const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const Bound bound, BindArguments("sum", arguments, {"attribute", "start"}));
  JinjaValue sum = bound[1] == nullptr ? JinjaValue(int64_t{0}) : *bound[1];
  SDAR_ASSIGN_OR_RETURN(const JinjaValues path, ReadOptionalPath(bound[0], budget));
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget));
  for (const JinjaValue& item : items->items) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(const JinjaValue addend, ItemAt(item, path, budget));
    SDAR_ASSIGN_OR_RETURN(sum, ApplyBinary("+", sum, addend, budget));
  }
  return sum;
}

}  // namespace sdar
