// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/json_fields.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

// A value as an error shows it: one line, cut when long.
std::string Shown(const Json& value) {
  constexpr size_t kLongest = 60;
  if (value.is_array() && value.size() > kLongest) {
    return absl::StrCat("a list of ", value.size());
  }
  if (value.is_object()) return "an object";
  std::string text = DumpJson(value);
  if (text.size() > kLongest) text = absl::StrCat(text.substr(0, kLongest), "...");
  return text;
}

// The value as int64, unless it is no integer or does not fit.
std::optional<int64_t> AsInt(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  return std::nullopt;
}

bool Holds(IntRange range, std::optional<int64_t> value) {
  return value.has_value() && *value >= range.min && *value <= range.max;
}

std::string Describe(IntRange range) {
  return absl::StrCat("an integer from ", range.min, " to ", range.max);
}

}  // namespace

JsonFields::JsonFields(const Json& fields, absl::string_view source)
    : fields_(fields), source_(source) {
  if (!fields.is_object()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(source, ": expected a JSON object, got ", Shown(fields)));
  }
}

const Json* JsonFields::Get(absl::string_view name) {
  if (!fields_.is_object()) return nullptr;
  read_.insert(std::string(name));
  const auto it = fields_.find(std::string(name));
  return it == fields_.end() ? nullptr : &*it;
}

bool JsonFields::Has(absl::string_view name) {
  const Json* value = Get(name);
  return value != nullptr && !value->is_null();
}

void JsonFields::Refuse(absl::string_view name, absl::string_view expected) {
  if (!status_.ok()) return;
  const Json* value = Get(name);
  status_ =
      absl::InvalidArgumentError(absl::StrCat(source_, ": field '", name, "': expected ", expected,
                                              value == nullptr ? ", but it is absent" : ", got ",
                                              value == nullptr ? std::string() : Shown(*value)));
}

int64_t JsonFields::Int(absl::string_view name, IntRange range) {
  const Json* value = Get(name);
  const std::optional<int64_t> number = value == nullptr ? std::nullopt : AsInt(*value);
  if (Holds(range, number)) return *number;
  Refuse(name, Describe(range));
  return range.min;
}

std::optional<int64_t> JsonFields::OptionalInt(absl::string_view name, IntRange range) {
  if (!Has(name)) return std::nullopt;
  return Int(name, range);
}

std::vector<int64_t> JsonFields::IntList(absl::string_view name, IntRange range) {
  if (!Has(name)) return {};
  const Json& value = *Get(name);
  if (!value.is_array()) return {Int(name, range)};
  std::vector<int64_t> numbers;
  for (const Json& element : value) {
    const std::optional<int64_t> number = AsInt(element);
    if (!Holds(range, number)) {
      Refuse(name, absl::StrCat("each element to be ", Describe(range)));
      return {};
    }
    numbers.push_back(*number);
  }
  return numbers;
}

double JsonFields::PositiveNumber(absl::string_view name, double max) {
  const Json* value = Get(name);
  if (value != nullptr && value->is_number()) {
    const auto number = value->get<double>();
    if (number > 0.0 && number <= max) return number;
  }
  Refuse(name, absl::StrCat("a number above 0 and at most ", max));
  return max;
}

std::optional<double> JsonFields::OptionalNumber(absl::string_view name, double min, double max) {
  if (!Has(name)) return std::nullopt;
  const Json& value = *Get(name);
  if (value.is_number()) {
    const auto number = value.get<double>();
    if (number >= min && number <= max) return number;
  }
  Refuse(name, absl::StrCat("a number from ", min, " to ", max));
  return std::nullopt;
}

bool JsonFields::Bool(absl::string_view name) {
  const Json* value = Get(name);
  if (value != nullptr && value->is_boolean()) return value->get<bool>();
  Refuse(name, "true or false");
  return false;
}

std::optional<bool> JsonFields::OptionalBool(absl::string_view name) {
  if (!Has(name)) return std::nullopt;
  return Bool(name);
}

std::string JsonFields::Text(absl::string_view name) {
  const Json* value = Get(name);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  Refuse(name, "a string");
  return "";
}

const Json* JsonFields::Object(absl::string_view name) {
  if (!Has(name)) return nullptr;
  const Json* value = Get(name);
  if (value->is_object()) return value;
  Refuse(name, "an object");
  return nullptr;
}

void JsonFields::Adopt(const absl::Status& status) {
  if (status_.ok()) status_ = status;
}

std::vector<std::string> JsonFields::Unread() const {
  std::vector<std::string> names;
  if (!fields_.is_object()) return names;
  for (const auto& [name, value] : fields_.items()) {
    if (!value.is_null() && !read_.contains(name)) names.push_back(name);
  }
  return names;
}

std::optional<std::string> JsonFields::OptionalText(absl::string_view name) {
  if (!Has(name)) return std::nullopt;
  return Text(name);
}

}  // namespace sdar
