// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/value.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/text/jinja/key_index.h"

namespace sdar {
namespace {

// Deeper values could overrun the stack where they are walked or freed.
constexpr int kMaxValueDepth = 100;
constexpr size_t kUnitsPerItem = 8;

// Bytes of one shared value besides the value: reference counts and the allocator's own.
constexpr size_t kSharedBytes = 32;

// Python hashes floats and undefined values too; dicts of templates have none.
bool MayBeKey(const JinjaValue& key) {
  return key.is_string() || key.is_int() || key.is_bool() || key.is_none();
}

absl::Status CheckDepth(int depth) {
  if (depth <= kMaxValueDepth) return absl::OkStatus();
  return JinjaError(absl::StrCat("a value nests deeper than ", kMaxValueDepth, " levels"));
}

}  // namespace

absl::Status JinjaError(absl::string_view message) { return ShortInvalidArgument(message); }

JinjaValue JinjaValue::MakeUndefined(std::string why) {
  JinjaValue value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

JinjaValue JinjaValue::MakeBigInteger(std::string digits) {
  JinjaValue value;
  value.data_ = BigInteger{std::make_shared<const std::string>(std::move(digits))};
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

std::shared_ptr<const JinjaSequence> JinjaValue::shared_sequence() const {
  const auto* held = std::get_if<std::shared_ptr<const JinjaSequence>>(&data_);
  return held == nullptr ? nullptr : *held;
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
  if (is_int() || is_big_integer()) return "int";
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

JinjaDict::JinjaDict() : index(std::make_unique<JinjaKeyIndex>(items)) {}
JinjaDict::~JinjaDict() = default;

absl::StatusOr<const JinjaValue*> JinjaDict::Find(const JinjaValue& key,
                                                  JinjaBudget& budget) const {
  if (!MayBeKey(key)) return nullptr;
  const JinjaKey wanted = *JinjaKey::Of(key);
  SDAR_RETURN_IF_ERROR(budget.Charge(JinjaKeyIndex::WorkFor(wanted)));
  const auto found = index->Find(wanted);
  return found.has_value() ? &items[*found].second : nullptr;
}

absl::StatusOr<const JinjaValue*> JinjaDict::Find(absl::string_view key,
                                                  JinjaBudget& budget) const {
  const JinjaKey wanted = JinjaKey::OfText(key);
  SDAR_RETURN_IF_ERROR(budget.Charge(JinjaKeyIndex::WorkFor(wanted)));
  const auto found = index->Find(wanted);
  return found.has_value() ? &items[*found].second : nullptr;
}

absl::Status JinjaItems::Reserve(size_t count) {
  if (count <= items_.capacity()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(budget_->Allocate(count * sizeof(JinjaValue)));
  items_.reserve(count);
  return absl::OkStatus();
}

absl::Status JinjaItems::Add(JinjaValue item) {
  constexpr size_t kLeast = 4;
  if (items_.size() == items_.capacity()) {
    SDAR_RETURN_IF_ERROR(Reserve(std::max(kLeast, 2 * items_.capacity())));
  }
  SDAR_RETURN_IF_ERROR(budget_->Charge(kUnitsPerItem));
  items_.push_back(std::move(item));
  return absl::OkStatus();
}

absl::StatusOr<JinjaValue> MakeSequence(JinjaSequence::Kind kind, JinjaItems items) {
  JinjaBudget& budget = items.budget();
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem * (items.size() + 1)));
  SDAR_RETURN_IF_ERROR(budget.Allocate(kSharedBytes + sizeof(JinjaSequence)));
  auto made = std::make_shared<JinjaSequence>();
  made->kind = kind;
  made->items = items.Take();
  for (const JinjaValue& item : made->items) made->depth = std::max(made->depth, item.depth() + 1);
  SDAR_RETURN_IF_ERROR(CheckDepth(made->depth));
  return JinjaValue(std::shared_ptr<const JinjaSequence>(std::move(made)));
}

absl::StatusOr<JinjaValue> MakePair(const JinjaValue& first, const JinjaValue& second,
                                    JinjaBudget& budget) {
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(2));
  SDAR_RETURN_IF_ERROR(items.Add(first));
  SDAR_RETURN_IF_ERROR(items.Add(second));
  return MakeSequence(JinjaSequence::Kind::kTuple, std::move(items));
}

absl::StatusOr<JinjaValue> MakeDict(std::vector<JinjaMember> items, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(
      budget.Allocate(kSharedBytes + sizeof(JinjaDict) + JinjaKeyIndex::BytesFor(items.size())));
  auto made = std::make_shared<JinjaDict>();
  made->items = std::move(items);
  made->index->Reserve(made->items.size());
  size_t kept = 0;
  for (size_t i = 0; i < made->items.size(); ++i) {
    auto& [key, value] = made->items[i];
    made->depth = std::max(made->depth, value.depth() + 1);
    if (!MayBeKey(key)) {
      return JinjaError(absl::StrCat("a dict key of type ", key.TypeName(), " is not supported"));
    }
    const JinjaKey name = *JinjaKey::Of(key);
    SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem + 2 * JinjaKeyIndex::WorkFor(name)));
    if (const auto found = made->index->Find(name)) {
      made->items[*found].second = std::move(value);
      continue;
    }
    if (kept != i) made->items[kept] = std::move(made->items[i]);
    ++kept;
    made->index->NoteNext();
  }
  made->items.resize(kept);
  SDAR_RETURN_IF_ERROR(CheckDepth(made->depth));
  return JinjaValue(std::shared_ptr<const JinjaDict>(std::move(made)));
}

absl::StatusOr<JinjaValue> MakeBuiltText(std::string text, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Allocate(kSharedBytes + sizeof(std::string)));
  return JinjaValue(std::move(text));
}

absl::StatusOr<JinjaValue> MakeText(JinjaTextBuilder text) {
  JinjaBudget& budget = text.budget();
  return MakeBuiltText(text.Take(), budget);
}

absl::StatusOr<JinjaValue> MakeText(absl::string_view text, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem + text.size()));
  SDAR_RETURN_IF_ERROR(budget.Allocate(text.size()));
  return MakeBuiltText(std::string(text), budget);
}

absl::StatusOr<JinjaValue> MakeUndefined(absl::string_view why, JinjaBudget& budget) {
  constexpr size_t kMaxReason = 300;
  std::string reason = Shorten(why, kMaxReason);
  SDAR_RETURN_IF_ERROR(budget.Charge(64));
  SDAR_RETURN_IF_ERROR(budget.Allocate(kSharedBytes + sizeof(std::string) + reason.size()));
  return JinjaValue::MakeUndefined(std::move(reason));
}

namespace {

absl::StatusOr<JinjaValue> FromJsonText(const std::string& text, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(2 * text.size()));
  if (IsValidUtf8(text)) return MakeText(text, budget);
  constexpr size_t kMaxGrowth = 3;  // a byte becomes U+FFFD
  SDAR_RETURN_IF_ERROR(budget.Allocate(kMaxGrowth * text.size()));
  return MakeBuiltText(ReplaceInvalidUtf8(text), budget);
}

absl::StatusOr<JinjaValue> FromDigits(std::string digits, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(digits.size()));
  SDAR_RETURN_IF_ERROR(budget.Allocate(kSharedBytes + sizeof(std::string) + digits.size()));
  return JinjaValue::MakeBigInteger(std::move(digits));
}

absl::StatusOr<JinjaValue> FromJsonArray(const Json& json, JinjaBudget& budget) {
  JinjaItems items(budget);
  SDAR_RETURN_IF_ERROR(items.Reserve(json.size()));
  for (const Json& item : json) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue value, FromJson(item, budget));
    SDAR_RETURN_IF_ERROR(items.Add(std::move(value)));
  }
  return MakeSequence(JinjaSequence::Kind::kList, std::move(items));
}

absl::StatusOr<JinjaValue> FromJsonObject(const Json& json, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Allocate(json.size() * sizeof(JinjaMember)));
  std::vector<JinjaMember> items;
  items.reserve(json.size());
  for (const auto& [key, item] : json.items()) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue name, MakeText(key, budget));
    SDAR_ASSIGN_OR_RETURN(JinjaValue value, FromJson(item, budget));
    items.emplace_back(std::move(name), std::move(value));
  }
  return MakeDict(std::move(items), budget);
}

}  // namespace

absl::StatusOr<JinjaValue> FromJson(const Json& json, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerItem));
  switch (json.type()) {
    case Json::value_t::null:
      return JinjaValue();
    case Json::value_t::boolean:
      return JinjaValue(json.get<bool>());
    case Json::value_t::number_integer:
      return JinjaValue(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return FromDigits(absl::StrCat(json.get<uint64_t>()), budget);
      }
      return JinjaValue(json.get<int64_t>());
    case Json::value_t::number_float:
      return JinjaValue(json.get<double>());
    case Json::value_t::string:
      return FromJsonText(json.get_ref<const std::string&>(), budget);
    case Json::value_t::array:
      return FromJsonArray(json, budget);
    case Json::value_t::object:
      return FromJsonObject(json, budget);
    default:
      return FromDigits(BigIntegerDigits(json).value_or("0"), budget);
  }
}

}  // namespace sdar
