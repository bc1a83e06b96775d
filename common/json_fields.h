// SPDX-License-Identifier: Apache-2.0
// Values of JSON requests as C++ types. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"
#include "common/json.h"
#include "common/status_macros.h"

namespace sdar {

// InvalidArgument: what was expected, and the beginning of what was there.
absl::Status Mistyped(absl::string_view expected, const Json& value);

// Mistyped where the value is of another type or out of the type's range.
absl::Status ReadValue(const Json& value, bool& out);
absl::Status ReadValue(const Json& value, double& out);
absl::Status ReadValue(const Json& value, int64_t& out);
absl::Status ReadValue(const Json& value, uint64_t& out);
absl::Status ReadValue(const Json& value, TokenId& out);
absl::Status ReadValue(const Json& value, std::string& out);

template <typename T>
absl::Status ReadValue(const Json& value, std::vector<T>& out) {
  if (!value.is_array()) return Mistyped("a list", value);
  for (const Json& element : value) {
    SDAR_RETURN_IF_ERROR(ReadValue(element, out.emplace_back()));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status ReadValue(const Json& value, std::optional<T>& out) {
  return ReadValue(value, out.emplace());
}

}  // namespace sdar
