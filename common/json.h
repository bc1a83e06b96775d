// SPDX-License-Identifier: Apache-2.0
// Reads JSON from outside the program: bounded depth, no exceptions, errors that name the source.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace sdar {

// Keeps the order of object keys, as templates and tools expect.
using Json = nlohmann::ordered_json;

// Parses `text`. InvalidArgument, beginning with `source`, says where the text is not JSON or where
// it nests deeper than `max_depth` arrays and objects. Doubled keys in one object are refused when
// `unique_keys` is set.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source, int max_depth = 64,
                               bool unique_keys = false);

// Serialises on one line; bytes that are not UTF-8 become U+FFFD.
std::string DumpJson(const Json& value);

// Reads a whole file. NotFound when it is absent, ResourceExhausted above `max_bytes`; both name
// the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);

// ReadFile and ParseJson; the source named in errors is the path.
absl::StatusOr<Json> ReadJsonFile(const std::string& path, int max_depth = 64);

}  // namespace sdar
