// SPDX-License-Identifier: Apache-2.0
#include "common/json.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/json_builder.h"
#include "common/status_macros.h"

namespace sdar {
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source, int max_depth,
                               bool unique_keys, size_t max_values) {
  JsonBuilder builder(text, max_depth, unique_keys, max_values);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", builder.error()));
  }
  return builder.Take();
}

size_t CountJsonValues(const Json& value) {
  if (!value.is_structured()) return 1;
  size_t count = 1;
  for (const Json& element : value) count += CountJsonValues(element);
  return count;
}

Json MakeBigInteger(absl::string_view digits) {
  return Json::binary(std::vector<uint8_t>(digits.begin(), digits.end()));
}

std::optional<std::string> BigIntegerDigits(const Json& value) {
  if (!value.is_binary()) return std::nullopt;
  const auto& digits = value.get_binary();
  return std::string(digits.begin(), digits.end());
}

namespace {

bool HoldsBigInteger(const Json& value) {
  if (!value.is_structured()) return value.is_binary();
  return std::any_of(value.begin(), value.end(), HoldsBigInteger);
}

std::string DumpPlain(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What the library's own writer does, but for big integers.
void AppendJson(const Json& value, std::string& out) {
  if (const std::optional<std::string> digits = BigIntegerDigits(value)) {
    out += *digits;
  } else if (!value.is_structured()) {
    out += DumpPlain(value);
  } else {
    out += value.is_array() ? "[" : "{";
    bool first = true;
    for (const auto& [key, element] : value.items()) {
      if (!std::exchange(first, false)) out += ",";
      if (value.is_object()) absl::StrAppend(&out, DumpPlain(Json(key)), ":");
      AppendJson(element, out);
    }
    out += value.is_array() ? "]" : "}";
  }
}

}  // namespace

std::string DumpJson(const Json& value) {
  if (!HoldsBigInteger(value)) return DumpPlain(value);
  std::string out;
  AppendJson(value, out);
  return out;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": expected at most ", max_bytes, " bytes, got ", size));
  }
  std::string content(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(content.data(), static_cast<std::streamsize>(size)) && size > 0) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  }
  return content;
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, int max_depth) {
  SDAR_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  return ParseJson(text, path, max_depth, false, kMaxJsonFileValues);
}

}  // namespace sdar
