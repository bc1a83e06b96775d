// SPDX-License-Identifier: Apache-2.0
// The filters that compare items with each other: sort, dictsort, min, max and unique.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/key_index.h"
#include "runtime/text/jinja/library/methods.h"
#include "runtime/text/jinja/library/python_text.h"
#include "runtime/text/jinja/library/sequence_filters.h"
#include "runtime/text/jinja/path.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using Bound = std::vector<const JinjaValue*>;
using SequenceKind = JinjaSequence::Kind;

absl::StatusOr<bool> Flag(const JinjaValue* value, bool absent) {
  return value == nullptr ? absent : value->IsTrue();
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
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement));
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
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement * keyed.size()));
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

Result ItemsOf(SequenceKind kind, KeyedItems&& keyed, JinjaBudget& budget) {
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

}  // namespace

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

}  // namespace sdar
