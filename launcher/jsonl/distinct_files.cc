// SPDX-License-Identifier: Apache-2.0
#include "launcher/jsonl/distinct_files.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include <sys/stat.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

namespace fs = std::filesystem;

// What makes two names one file: device and inode; the place of one that does not exist yet.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::string future_path;

  bool operator==(const Identity& other) const {
    return device == other.device && inode == other.inode && future_path == other.future_path;
  }
};

std::optional<Identity> IdentityOf(const std::string& path, int standard_stream) {
  if (path.empty()) return std::nullopt;
  struct stat status = {};
  const int failed = path == "-" ? fstat(standard_stream, &status) : stat(path.c_str(), &status);
  if (failed == 0) {
    if (!S_ISREG(status.st_mode)) return std::nullopt;
    return Identity{status.st_dev, status.st_ino, ""};
  }
  if (path == "-") return std::nullopt;
  std::error_code error;
  return Identity{0, 0, fs::weakly_canonical(path, error).string()};
}

absl::Status SameFile(const NamedFile& a, const NamedFile& b) {
  return absl::InvalidArgumentError(
      absl::StrCat(a.flag, " and ", b.flag, " are the same file, ", a.path));
}

}  // namespace

absl::Status CheckDistinct(const std::vector<NamedFile>& read,
                           const std::vector<NamedFile>& written) {
  for (size_t i = 0; i < written.size(); ++i) {
    const std::optional<Identity> mine = IdentityOf(written[i].path, STDOUT_FILENO);
    if (!mine) continue;
    for (const NamedFile& other : read) {
      if (IdentityOf(other.path, STDIN_FILENO) == mine) return SameFile(written[i], other);
    }
    for (size_t j = 0; j < i; ++j) {
      if (IdentityOf(written[j].path, STDOUT_FILENO) == mine) {
        return SameFile(written[i], written[j]);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOutsideModel(const std::string& folder, const std::vector<NamedFile>& written) {
  std::error_code error;
  for (const NamedFile& file : written) {
    const std::optional<Identity> mine = IdentityOf(file.path, STDOUT_FILENO);
    if (!mine) continue;
    const bool is_new = !mine->future_path.empty();
    const fs::path place(mine->future_path);
    bool is_models = is_new && place.extension() != ".jsonl" &&
                     fs::equivalent(place.parent_path(), folder, error);
    for (fs::directory_iterator entry(folder, error), end; !is_models && entry != end;
         entry.increment(error)) {
      if (error) break;
      is_models = entry->path().extension() != ".jsonl" &&
                  IdentityOf(entry->path().string(), STDIN_FILENO) == mine;
    }
    if (!is_models) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file.flag, ": '", file.path, "' is a file of the model in ", folder,
                     "; write elsewhere, or to a name that ends with .jsonl"));
  }
  return absl::OkStatus();
}

}  // namespace sdar
