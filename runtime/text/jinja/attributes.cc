// SPDX-License-Identifier: Apache-2.0
// Attributes and items of template values, looked up as Jinja does (jinja2 3.1, Environment.getattr
// and getitem).
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/library/methods.h"
#include "runtime/text/jinja/library/python_text.h"
#include "runtime/text/jinja/operators.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;

constexpr size_t kUnitsPerAttribute = 64;  // of work, for the names of methods

Result Missing(const JinjaValue& object, absl::string_view name, JinjaBudget& budget) {
  return MakeUndefined(
      absl::StrCat("'", object.TypeName(), object.dict() != nullptr ? " object" : "",
                   "' has no attribute '", Shorten(name), "'"),
      budget);
}

Result LoopAttribute(const JinjaLoop& loop, const std::string& name, JinjaBudget& budget) {
  const auto length = static_cast<int64_t>(loop.items->items.size());
  const auto index = static_cast<int64_t>(loop.index);
  if (name == "index") return JinjaValue(index + 1);
  if (name == "index0") return JinjaValue(index);
  if (name == "revindex") return JinjaValue(length - index);
  if (name == "revindex0") return JinjaValue(length - index - 1);
  if (name == "first") return JinjaValue(index == 0);
  if (name == "last") return JinjaValue(index + 1 == length);
  if (name == "length") return JinjaValue(length);
  // Only recursive loops, which are not supported, go deeper.
  if (name == "depth") return JinjaValue(int64_t{1});
  if (name == "depth0") return JinjaValue(int64_t{0});
  if (name == "previtem") {
    if (index == 0) return MakeUndefined("there is no previous item", budget);
    return loop.items->items[loop.index - 1];
  }
  if (name == "nextitem") {
    if (index + 1 == length) return MakeUndefined("there is no next item", budget);
    return loop.items->items[loop.index + 1];
  }
  return JinjaError(absl::StrCat("loop.", Shorten(name), " is not supported"));
}

Result BindMethod(const JinjaValue& object, const std::string& name, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Allocate(sizeof(JinjaCallable) + 2 * name.size() + 32));
  auto method = std::make_shared<JinjaCallable>();
  method->kind = JinjaCallable::Kind::kMethod;
  method->name = name;
  method->self = object;
  return JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(method)));
}

}  // namespace

Result GetAttribute(const JinjaValue& object, const std::string& name, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerAttribute));
  if (object.is_undefined()) return object.UndefinedError();
  if (const JinjaLoop* loop = object.loop()) return LoopAttribute(*loop, name, budget);
  if (JinjaNamespace* space = object.space()) {
    SDAR_RETURN_IF_ERROR(budget.Charge(space->attributes.size() * (4 + name.size() / 8)));
    for (const auto& [attribute, value] : space->attributes) {
      if (attribute == name) return value;
    }
    return Missing(object, name, budget);
  }
  if (object.callable() != nullptr) {
    return JinjaError(
        absl::StrCat("the attribute '", Shorten(name), "' of a function is not supported"));
  }
  if (IsPythonMethod(object, name)) return BindMethod(object, name, budget);
  if (const JinjaDict* dict = object.dict()) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* value, dict->Find(name, budget));
    if (value != nullptr) return *value;
  }
  return Missing(object, name, budget);
}

Result GetItem(const JinjaValue& object, const JinjaValue& key, JinjaBudget& budget) {
  if (object.is_undefined()) return object.UndefinedError();
  if (const JinjaDict* dict = object.dict()) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* value, dict->Find(key, budget));
    if (value != nullptr) return *value;
    if (!key.is_string()) return MakeUndefined("'dict object' has no such element", budget);
  }
  if (key.is_string()) return GetAttribute(object, key.text(), budget);
  const JinjaSequence* items = object.sequence();
  const bool indexable = items != nullptr && items->kind != JinjaSequence::Kind::kView &&
                         items->kind != JinjaSequence::Kind::kGenerator;
  if ((!indexable && !object.is_string()) || (!key.is_int() && !key.is_bool())) {
    return MakeUndefined(absl::StrCat("'", object.TypeName(), "' has no such element"), budget);
  }
  SDAR_ASSIGN_OR_RETURN(const int64_t length, LengthOf(object, budget));
  const int64_t index = key.integer() < 0 ? key.integer() + length : key.integer();
  if (index < 0 || index >= length) {
    return MakeUndefined(absl::StrCat(object.TypeName(), " object has no element ", key.integer()),
                         budget);
  }
  if (indexable) return items->items[static_cast<size_t>(index)];
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(object.text()));
  return MakeText(CodePointRange(object.text(), index, index + 1), budget);
}

}  // namespace sdar
