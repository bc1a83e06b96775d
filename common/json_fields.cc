// SPDX-License-Identifier: Apache-2.0
#include "common/json_fields.h"

#include <limits>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"

namespace sdar {

absl::Status Mistyped(absl::string_view expected, const Json& value) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", expected, ", got ", Shorten(DumpJson(value))));
}

absl::Status ReadValue(const Json& value, bool& out) {
  if (!value.is_boolean()) return Mistyped("true or false", value);
  out = value.get<bool>();
  return absl::OkStatus();
}

absl::Status ReadValue(const Json& value, double& out) {
  if (!value.is_number()) return Mistyped("a number", value);
  out = value.get<double>();
  return absl::OkStatus();
}

absl::Status ReadValue(const Json& value, int64_t& out) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > kMax)) {
    return Mistyped("an integer", value);
  }
  out = value.get<int64_t>();
  return absl::OkStatus();
}

absl::Status ReadValue(const Json& value, uint64_t& out) {
  if (!value.is_number_unsigned()) return Mistyped("an integer of at least 0", value);
  out = value.get<uint64_t>();
  return absl::OkStatus();
}

absl::Status ReadValue(const Json& value, TokenId& out) {
  int64_t wide = 0;
  if (!ReadValue(value, wide).ok() || wide < 0 || wide > std::numeric_limits<TokenId>::max()) {
    return Mistyped("a token id", value);
  }
  out = static_cast<TokenId>(wide);
  return absl::OkStatus();
}

absl::Status ReadValue(const Json& value, std::string& out) {
  if (!value.is_string()) return Mistyped("a string", value);
  out = value.get<std::string>();
  return absl::OkStatus();
}

}  // namespace sdar
