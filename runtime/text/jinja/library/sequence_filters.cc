// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/library/sequence_filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/library/filters.h"
#include "runtime/text/jinja/library/methods.h"
#include "runtime/text/jinja/library/python_text.h"
#include "runtime/text/jinja/library/tests.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/path.h"
#include "runtime/text/jinja/print.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using Bound = std::vector<const JinjaValue*>;
using SequenceKind = JinjaSequence::Kind;

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
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement));
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
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement));
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
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(const JinjaValue addend, ItemAt(item, path, budget));
    SDAR_ASSIGN_OR_RETURN(sum, ApplyBinary("+", sum, addend, budget));
  }
  return sum;
}

}  // namespace sdar
