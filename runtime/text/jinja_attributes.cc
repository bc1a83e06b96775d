// SPDX-License-Identifier: Apache-2.0
// Attributes and items of template values, looked up as Jinja does (jinja2 3.1, Environment.getattr
// and getitem).
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja_methods.h"
#include "runtime/text/jinja_operators.h"
#include "runtime/text/python_text.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;

JinjaValue Missing(const JinjaValue& object, absl::string_view name) {
  return JinjaValue::MakeUndefined(absl::StrCat("'", object.TypeName(),
                                                object.dict() != nullptr ? " object" : "",
                                                "' has no attribute '", name, "'"));
}

Result LoopAttribute(const JinjaLoop& loop, const std::string& name) {
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
    if (index == 0) return JinjaValue::MakeUndefined("there is no previous item");
    return loop.items->items[loop.index - 1];
  }
  if (name == "nextitem") {
    if (index + 1 == length) return JinjaValue::MakeUndefined("there is no next item");
    return loop.items->items[loop.index + 1];
  }
  return JinjaError(absl::StrCat("loop.", name, " is not supported"));
}

JinjaValue BindMethod(const JinjaValue& object, const std::string& name) {
  auto method = std::make_shared<JinjaCallable>();
  method->kind = JinjaCallable::Kind::kMethod;
  method->name = name;
  method->self = object;
  return JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(method)));
}

}  // namespace

Result GetAttribute(const JinjaValue& object, const std::string& name) {
  if (object.is_undefined()) return object.UndefinedError();
  if (const JinjaLoop* loop = object.loop()) return LoopAttribute(*loop, name);
  if (JinjaNamespace* space = object.space()) {
    for (const auto& [attribute, value] : space->attributes) {
      if (attribute == name) return value;
    }
    return Missing(object, name);
  }
  if (object.callable() != nullptr) {
    return JinjaError(absl::StrCat("the attribute '", name, "' of a function is not supported"));
  }
  if (IsPythonMethod(object, name)) return BindMethod(object, name);
  if (const JinjaDict* dict = object.dict()) {
    if (const JinjaValue* value = dict->Find(name)) return *value;
  }
  return Missing(object, name);
}

Result GetItem(const JinjaValue& object, const JinjaValue& key, JinjaBudget& budget) {
  if (object.is_undefined()) return object.UndefinedError();
  if (const JinjaDict* dict = object.dict()) {
    if (const JinjaValue* value = dict->Find(key)) return *value;
    if (!key.is_string()) return JinjaValue::MakeUndefined("'dict object' has no such element");
  }
  if (key.is_string()) return GetAttribute(object, key.text());
  const JinjaSequence* items = object.sequence();
  const bool indexable = items != nullptr && items->kind != JinjaSequence::Kind::kView &&
                         items->kind != JinjaSequence::Kind::kGenerator;
  if ((!indexable && !object.is_string()) || (!key.is_int() && !key.is_bool())) {
    return JinjaValue::MakeUndefined(absl::StrCat("'", object.TypeName(), "' has no such element"));
  }
  SDAR_ASSIGN_OR_RETURN(const int64_t length, LengthOf(object));
  const int64_t index = key.integer() < 0 ? key.integer() + length : key.integer();
  if (index < 0 || index >= length) {
    return JinjaValue::MakeUndefined(
        absl::StrCat(object.TypeName(), " object has no element ", key.integer()));
  }
  if (indexable) return items->items[static_cast<size_t>(index)];
  SDAR_RETURN_IF_ERROR(budget.Charge(object.text().size()));
  return JinjaValue(std::string(CodePointRange(object.text(), index, index + 1)));
}

}  // namespace sdar
