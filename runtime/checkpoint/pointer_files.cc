// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/pointer_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"

namespace sdar {
namespace {

constexpr absl::string_view kPointerBegins = "version https://git-lfs.github.com/spec/";
// The specification's limit.
constexpr uint64_t kLargestPointer = 1024;

}  // namespace

absl::Status CheckNotPointer(absl::string_view start, const std::string& path) {
  if (!absl::StartsWith(start, kPointerBegins)) return absl::OkStatus();
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": this is a Git-LFS pointer, not the file itself; fetch it with: git -C '",
      folder.empty() ? "." : folder.string(), "' lfs pull"));
}

std::vector<absl::Status> FindPointers(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".safetensors") paths.push_back(entry->path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<absl::Status> problems;
  for (const std::string& path : paths) {
    // Not what must not be opened: a pipe would wait for a writer.
    if (!std::filesystem::is_regular_file(path, error)) continue;
    if (std::filesystem::file_size(path, error) > kLargestPointer || error) continue;
    const absl::StatusOr<std::string> text = ReadFile(path, kLargestPointer);
    if (!text.ok()) continue;
    if (absl::Status status = CheckNotPointer(*text, path); !status.ok()) {
      problems.push_back(std::move(status));
    }
  }
  return problems;
}

}  // namespace sdar
