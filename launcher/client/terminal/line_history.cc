// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/line_history.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"

namespace sdar {
namespace {

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

// Opens a regular file, or -1. Not one that would make open wait.
int OpenRegular(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, kOwnerOnly);
  struct stat about {};
  if (fd >= 0 && (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))) {
    close(fd);
    return -1;
  }
  return fd;
}

// The last whole lines of the file, and whether there are more before them.
std::pair<std::string, bool> ReadTail(const std::string& path, size_t max_bytes) {
  const int fd = OpenRegular(path, O_RDONLY);
  if (fd < 0) return {};
  const absl::Cleanup closer = [fd] { close(fd); };
  const off_t size = lseek(fd, 0, SEEK_END);
  const off_t begin = std::max<off_t>(0, size - static_cast<off_t>(max_bytes));
  std::string text(max_bytes, '\0');
  const ssize_t count = pread(fd, text.data(), text.size(), begin);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  if (begin > 0) text.erase(0, std::min(text.find('\n'), text.size()));
  return {std::move(text), begin > 0};
}

void Append(const std::string& path, const std::string& text) {
  const int fd = OpenRegular(path, O_WRONLY | O_APPEND | O_CREAT);
  if (fd < 0) return;
  fchmod(fd, kOwnerOnly);
  static_cast<void>(!write(fd, text.data(), text.size()));
  close(fd);
}

}  // namespace

std::string LineHistory::DefaultPath() {
  const char* state = std::getenv("XDG_STATE_HOME");
  // The specification wants relative paths ignored.
  if (state != nullptr && state[0] == '/') return absl::StrCat(state, "/sdar/client_history");
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return "";
  return absl::StrCat(home, "/.local/state/sdar/client_history");
}

LineHistory::LineHistory(std::string path) : path_(std::move(path)) {
  const auto [text, cut] = ReadTail(path_, kMaxFileBytes);
  size_t in_file = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    ++in_file;
    const absl::StatusOr<Json> value = ParseJson(line, "history", 1);
    if (value.ok() && value->is_string()) Keep(value->get<std::string>());
  }
  if (cut || in_file > 2 * kMaxLines) Rewrite();
}

void LineHistory::Keep(std::string line) {
  lines_.push_back(std::move(line));
  if (lines_.size() > kMaxLines) lines_.pop_front();
}

bool LineHistory::Add(const std::string& line) {
  if (line.empty() || line.size() > kMaxLineBytes) return false;
  if (!lines_.empty() && lines_.back() == line) return false;
  Keep(line);
  if (path_.empty()) return true;
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  if (std::filesystem::create_directories(folder, ignored)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
  }
  Append(path_, DumpJson(Json(line)) + "\n");
  return true;
}

// Other clients that add lines at this moment may lose theirs.
void LineHistory::Rewrite() const {
  const std::string fresh = absl::StrCat(path_, ".", getpid());
  std::string text;
  for (const std::string& line : lines_) absl::StrAppend(&text, DumpJson(Json(line)), "\n");
  Append(fresh, text);
  std::error_code failed;
  std::filesystem::rename(fresh, path_, failed);
  if (failed) std::filesystem::remove(fresh, failed);
}

}  // namespace sdar
