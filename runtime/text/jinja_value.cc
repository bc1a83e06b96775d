// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_value.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/utf8.h"

namespace sdar {
namespace {

// Deeper values could overrun the stack where they are walked or freed.
constexpr int kMaxValueDepth = 100;
constexpr size_t kUnitsPerItem = 16;

// The map key of a dict key: the kind and the value. True and 1 are one key, as in Python.
absl::StatusOr<std::string> KeyOf(const JinjaValue& key) {
  if (key.is_string()) return absl::StrCat("s", key.text());
  if (key.is_int() || key.is_bool()) return absl::StrCat("i", key.integer());
  if (key.is_none()) return std::string("n");
  return JinjaError(absl::StrCat("a dict key of type ", key.TypeName(), " is not supported"));
}

absl::Status CheckDepth(int depth) {
  if (depth <= kMaxValueDepth) return absl::OkStatus();
  return JinjaError(absl::StrCat("a value nests deeper than ", kMaxValueDepth, " levels"));
}

}  // namespace

absl::Status JinjaBudget::Charge(size_t units) {
  if (units > left_) {
    left_ = 0;
    return absl::ResourceExhaustedError("the template does more work than is allowed");
  }
  left_ -= units;
  return absl::OkStatus();
}

absl::Status JinjaError(absl::string_view message) { return absl::InvalidArgumentError(message); }

JinjaValue JinjaValue::MakeUndefined(std::string why) {
  JinjaValue value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

absl::Status JinjaValue::UndefinedError() const {
  return JinjaError(*std::get<Undefined>(data_).why);
}

int64_t JinjaValue::integer() const {
  return is_bool() ? int64_t{std::get<bool>(data_)} : std::get<int64_t>(data_);
}

double JinjaValue::number() const {
  return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
}

const JinjaSequence* JinjaValue::sequence() const {
  const auto* held = std::get_if<std::shared_ptr<const JinjaSequence>>(&data_);
  return held == nullptr ? nullptr : held->get();
}

const JinjaDict* JinjaValue::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const JinjaDict>>(&data_);
  return held == nullptr ? nullptr : held->get();
}

const JinjaLoop* JinjaValue::loop() const {
  const auto* held = std::get_if<std::shared_ptr<const JinjaLoop>>(&data_);
  return held == nullptr ? nullptr : held->get();
}

const JinjaCallable* JinjaValue::callable() const {
  const auto* held = std::get_if<std::shared_ptr<const JinjaCallable>>(&data_);
  return held == nullptr ? nullptr : held->get();
}

JinjaNamespace* JinjaValue::space() const {
  const auto* held = std::get_if<JinjaNamespace*>(&data_);
  return held == nullptr ? nullptr : *held;
}

bool JinjaValue::IsTrue() const {
  if (is_undefined() || is_none()) return false;
  if (is_float()) return number() != 0;
  if (is_number()) return integer() != 0;
  if (is_string()) return !text().empty();
  if (const JinjaSequence* items = sequence()) {
    return items->kind == JinjaSequence::Kind::kGenerator || !items->items.empty();
  }
  if (const JinjaDict* object = dict()) return !object->items.empty();
  return true;
}

absl::string_view JinjaValue::TypeName() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "None";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (is_string()) return "str";
  if (dict() != nullptr) return "dict";
  if (loop() != nullptr) return "loop";
  if (space() != nullptr) return "namespace";
  if (callable() != nullptr) return "function";
  switch (sequence()->kind) {
    case JinjaSequence::Kind::kList:
      return "list";
    case JinjaSequence::Kind::kTuple:
      return "tuple";
    case JinjaSequence::Kind::kRange:
      return "range";
    case JinjaSequence::Kind::kView:
      return "dict view";
    case JinjaSequence::Kind::kGenerator:
      return "generator";
  }
  return "value";
}

int JinjaValue::depth() const {
  if (const JinjaSequence* items = sequence()) return items->depth;
  if (const JinjaDict* object = dict()) return object->depth;
  if (const JinjaLoop* state = loop()) return state->items->depth + 1;
  if (const JinjaCallable* bound = callable()) return bound->self.depth() + 1;
  return 0;
}

const JinjaValue* JinjaDict::Find(const JinjaValue& key) const {
  const auto name = KeyOf(key);
  if (!name.ok()) return nullptr;
  const auto it = index.find(*name);
  return it == index.end() ? nullptr : &items[it->second].second;
}

const JinjaValue* JinjaDict::Find(absl::string_view key) const {
  const auto it = index.find(absl::StrCat("s", key));
  return it == index.end() ? nullptr : &items[it->second].second;
}

absl::StatusOr<JinjaValue> MakeSequence(JinjaSequence::Kind kind, JinjaValues items,
                                        JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem * (items.size() + 1)));
  auto made = std::make_shared<JinjaSequence>();
  made->kind = kind;
  for (const JinjaValue& item : items) made->depth = std::max(made->depth, item.depth() + 1);
  SDAR_RETURN_IF_ERROR(CheckDepth(made->depth));
  made->items = std::move(items);
  return JinjaValue(std::shared_ptr<const JinjaSequence>(std::move(made)));
}

// The check does not see that the loop moves out of `items`.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
absl::StatusOr<JinjaValue> MakeDict(std::vector<std::pair<JinjaValue, JinjaValue>> items,
                                    JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem * (items.size() + 1)));
  auto made = std::make_shared<JinjaDict>();
  for (auto& [key, value] : items) {
    made->depth = std::max(made->depth, value.depth() + 1);
    SDAR_ASSIGN_OR_RETURN(std::string name, KeyOf(key));
    SDAR_RETURN_IF_ERROR(budget.Charge(name.size()));
    const auto [it, inserted] = made->index.try_emplace(std::move(name), made->items.size());
    if (inserted) {
      made->items.emplace_back(std::move(key), std::move(value));
    } else {
      made->items[it->second].second = std::move(value);
    }
  }
  SDAR_RETURN_IF_ERROR(CheckDepth(made->depth));
  return JinjaValue(std::shared_ptr<const JinjaDict>(std::move(made)));
}

absl::StatusOr<JinjaValue> MakeText(std::string text, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem + text.size()));
  return JinjaValue(std::move(text));
}

absl::StatusOr<JinjaValue> FromJson(const Json& json, JinjaBudget& budget) {
  switch (json.type()) {
    case Json::value_t::null:
      return JinjaValue();
    case Json::value_t::boolean:
      return JinjaValue(json.get<bool>());
    case Json::value_t::number_integer:
      return JinjaValue(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return JinjaError(absl::StrCat("the integer ", json.get<uint64_t>(), " is above 2^63 - 1"));
      }
      return JinjaValue(json.get<int64_t>());
    case Json::value_t::number_float:
      return JinjaValue(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      return MakeText(IsValidUtf8(text) ? text : ReplaceInvalidUtf8(text), budget);
    }
    case Json::value_t::array: {
      JinjaValues items;
      for (const Json& item : json) {
        SDAR_ASSIGN_OR_RETURN(JinjaValue value, FromJson(item, budget));
        items.push_back(std::move(value));
      }
      return MakeSequence(JinjaSequence::Kind::kList, std::move(items), budget);
    }
    case Json::value_t::object: {
      std::vector<std::pair<JinjaValue, JinjaValue>> items;
      for (const auto& [key, item] : json.items()) {
        SDAR_ASSIGN_OR_RETURN(JinjaValue value, FromJson(item, budget));
        items.emplace_back(JinjaValue(key), std::move(value));
      }
      return MakeDict(std::move(items), budget);
    }
    default:
      return JinjaError("a JSON value of unknown type");
  }
}

}  // namespace sdar
