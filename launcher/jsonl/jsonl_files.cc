// SPDX-License-Identifier: Apache-2.0
#include "launcher/jsonl/jsonl_files.h"

#include <filesystem>
#include <iostream>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sdar {

absl::StatusOr<std::istream*> OpenInput(const std::string& path, std::ifstream& file) {
  if (path == "-") return &std::cin;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--input: expected a file, got the folder '", path, "'"));
  }
  file.open(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("--input: cannot open '", path, "'"));
  return &file;
}

absl::StatusOr<std::ostream*> OpenOutput(const std::string& path, bool append,
                                         std::ofstream& file) {
  if (path == "-") return &std::cout;
  file.open(path, std::ios::binary | (append ? std::ios::app : std::ios::trunc));
  if (!file) return absl::NotFoundError(absl::StrCat("--output: cannot create '", path, "'"));
  return &file;
}

Json ErrorRecord(const Json& id, int line_number, const absl::Status& status) {
  Json record = Json::object();
  if (!id.is_null()) record["id"] = id;
  record["line"] = line_number;
  record["error"] = std::string(status.message());
  return record;
}

absl::Status Flush(std::ostream& out) {
  return out.flush() ? absl::OkStatus() : absl::DataLossError("--output: writing failed");
}

absl::Status LinesFailed(int count) {
  if (count == 0) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat(count, count == 1 ? " line" : " lines", " failed; see their records"));
}

}  // namespace sdar
