// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/compare.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/text/jinja/library/python_text.h"

namespace sdar {
namespace {

using SharedSequence = std::shared_ptr<const JinjaSequence>;

constexpr size_t kUnitsPerComparison = 16;

absl::StatusOr<SharedSequence> Share(JinjaSequence::Kind kind, JinjaItems items) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue value, MakeSequence(kind, std::move(items)));
  return value.shared_sequence();
}

absl::StatusOr<SharedSequence> Characters(const std::string& text, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(static_cast<size_t>(CountCodePoints(text))));
  for (size_t i = 0; i < text.size();) {
    const size_t length = ReadUtf8(text, i).length;
    SDAR_ASSIGN_OR_RETURN(JinjaValue character,
                          MakeText(absl::string_view(text).substr(i, length), budget));
    SDAR_RETURN_IF_ERROR(items.Add(std::move(character)));
    i += length;
  }
  return Share(JinjaSequence::Kind::kList, std::move(items));
}

// Python's equality of sequences is between like kinds only.
bool SameKind(const JinjaSequence& a, const JinjaSequence& b) { return a.kind == b.kind; }

absl::StatusOr<bool> AreEqualItems(const JinjaSequence& a, const JinjaSequence& b,
                                   JinjaBudget& budget) {
  if (!SameKind(a, b) || a.items.size() != b.items.size()) return false;
  if (a.kind == JinjaSequence::Kind::kGenerator || a.kind == JinjaSequence::Kind::kView) {
    return JinjaError("comparing dict views or generators is not supported");
  }
  for (size_t i = 0; i < a.items.size(); ++i) {
    SDAR_ASSIGN_OR_RETURN(const bool equal, AreEqual(a.items[i], b.items[i], budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> AreEqualDicts(const JinjaDict& a, const JinjaDict& b, JinjaBudget& budget) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* other, b.Find(key, budget));
    if (other == nullptr) return false;
    SDAR_ASSIGN_OR_RETURN(const bool equal, AreEqual(value, *other, budget));
    if (!equal) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<SharedSequence> Iterate(const JinjaValue& value, JinjaBudget& budget) {
  if (value.is_undefined()) {
    return Share(JinjaSequence::Kind::kList, JinjaItems(budget));
  }
  if (const JinjaSequence* items = value.sequence()) {
    if (items->consumed) return JinjaError("a generator is walked a second time; use |list first");
    if (items->kind == JinjaSequence::Kind::kGenerator) items->consumed = true;
    return value.shared_sequence();
  }
  if (const JinjaDict* object = value.dict()) {
    JinjaItems keys(budget);
    SDAR_RETURN_IF_ERROR(keys.Reserve(object->items.size()));
    for (const auto& [key, item] : object->items) SDAR_RETURN_IF_ERROR(keys.Add(key));
    return Share(JinjaSequence::Kind::kView, std::move(keys));
  }
  if (value.is_string()) return Characters(value.text(), budget);
  return JinjaError(absl::StrCat("'", value.TypeName(), "' object is not iterable"));
}

absl::StatusOr<bool> AreEqual(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerComparison));
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() == b.number();
    return a.integer() == b.integer();
  }
  if (a.is_big_integer() && b.is_big_integer()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(a.digits().size()));
    return a.digits() == b.digits();
  }
  if (a.is_string() && b.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(std::min(a.text().size(), b.text().size()) / 2));
    return a.text() == b.text();
  }
  if (a.sequence() != nullptr && b.sequence() != nullptr) {
    return AreEqualItems(*a.sequence(), *b.sequence(), budget);
  }
  if (a.dict() != nullptr && b.dict() != nullptr)
    return AreEqualDicts(*a.dict(), *b.dict(), budget);
  if (a.space() != nullptr && b.space() != nullptr) return a.space() == b.space();
  if ((a.callable() != nullptr && b.callable() != nullptr) || a.loop() != nullptr) {
    return JinjaError(absl::StrCat("comparing a ", a.TypeName(), " is not supported"));
  }
  return false;
}

absl::StatusOr<bool> IsLess(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerComparison));
  if (a.is_undefined()) return a.UndefinedError();
  if (b.is_undefined()) return b.UndefinedError();
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.number() < b.number();
    return a.integer() < b.integer();
  }
  if (a.is_string() && b.is_string()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(std::min(a.text().size(), b.text().size()) / 2));
    return a.text() < b.text();  // the order of UTF-8 bytes is that of code points
  }
  const JinjaSequence* left = a.sequence();
  const JinjaSequence* right = b.sequence();
  if (left != nullptr && right != nullptr && SameKind(*left, *right) &&
      (left->kind == JinjaSequence::Kind::kList || left->kind == JinjaSequence::Kind::kTuple)) {
    for (size_t i = 0; i < std::min(left->items.size(), right->items.size()); ++i) {
      SDAR_ASSIGN_OR_RETURN(const bool equal, AreEqual(left->items[i], right->items[i], budget));
      if (!equal) return IsLess(left->items[i], right->items[i], budget);
    }
    return left->items.size() < right->items.size();
  }
  return JinjaError(
      absl::StrCat("'<' not supported between '", a.TypeName(), "' and '", b.TypeName(), "'"));
}

absl::StatusOr<bool> Contains(const JinjaValue& container, const JinjaValue& item,
                              JinjaBudget& budget) {
  if (container.is_undefined()) return false;
  if (container.is_string()) {
    if (item.is_undefined()) return item.UndefinedError();
    if (!item.is_string()) {
      return JinjaError(
          absl::StrCat("'in <string>' requires string as left operand, not ", item.TypeName()));
    }
    SDAR_RETURN_IF_ERROR(budget.ChargeSearch(container.text(), item.text()));
    return FindText(container.text(), item.text()) != absl::string_view::npos;
  }
  if (const JinjaDict* object = container.dict()) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* found, object->Find(item, budget));
    return found != nullptr;
  }
  if (container.sequence() == nullptr) {
    return JinjaError(
        absl::StrCat("argument of type '", container.TypeName(), "' is not iterable"));
  }
  SDAR_ASSIGN_OR_RETURN(const SharedSequence items, Iterate(container, budget));
  for (const JinjaValue& candidate : items->items) {
    SDAR_ASSIGN_OR_RETURN(const bool equal, AreEqual(candidate, item, budget));
    if (equal) return true;
  }
  return false;
}

}  // namespace sdar
