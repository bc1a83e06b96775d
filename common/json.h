// SPDX-License-Identifier: Apache-2.0
// Reads JSON from outside the program: bounded in depth and memory, no exceptions, errors that name
// the source.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace sdar {

// Keeps the order of object keys, as templates and tools expect.
using Json = nlohmann::ordered_json;

// How many values one text may hold. A value takes up to about 150 bytes besides its characters, so
// that a request's tree stays below 150 MB; a prompt of 500,000 token ids is within the limit.
inline constexpr size_t kMaxJsonValues = 1'000'000;
// The same for files of a model, such as the tokenizer's.
inline constexpr size_t kMaxJsonFileValues = 50'000'000;

// Parses `text` in linear time. The later of two equal keys wins, at the place of the first.
// InvalidArgument begins with `source`. It says where the text is not JSON, where it nests deeper
// than `max_depth` arrays and objects, and when it holds more than `max_values` values (numbers,
// strings, constants, arrays and objects). Integers beyond 64 bits are MakeBigInteger's; floats
// are rounded to double. Doubled keys in one object are refused when
// `unique_keys` is set.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source, int max_depth = 64,
                               bool unique_keys = false, size_t max_values = kMaxJsonValues);

// An integer beyond 64 bits, by its digits. Such a value is binary() to nlohmann's library, and
// is_number() is false: whoever reads numbers refuses it, whoever passes values on keeps it.
Json MakeBigInteger(absl::string_view digits);
// The digits, or nothing where `value` is something else.
std::optional<std::string> BigIntegerDigits(const Json& value);

// The values in `value`, itself included. Linear.
size_t CountJsonValues(const Json& value);

// Serialises on one line; bytes that are not UTF-8 become U+FFFD.
std::string DumpJson(const Json& value);

// Reads a whole file. NotFound when it is absent, ResourceExhausted above `max_bytes`; both name
// the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);

// ReadFile and ParseJson with kMaxJsonFileValues; the source named in errors is the path.
absl::StatusOr<Json> ReadJsonFile(const std::string& path, int max_depth = 64);

}  // namespace sdar
