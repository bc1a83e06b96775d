// SPDX-License-Identifier: Apache-2.0
// What tells that a file has been written or replaced.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sys/stat.h>

namespace sdar {

struct FileStamp {
  int64_t seconds = 0;
  int64_t nanos = 0;
  int64_t size = -1;  // -1: there is no file
  uint64_t inode = 0;
  bool operator==(const FileStamp&) const = default;

  static FileStamp Of(const std::string& path) {
    struct stat file = {};
    if (path.empty() || stat(path.c_str(), &file) != 0) return {};
    return {file.st_mtim.tv_sec, file.st_mtim.tv_nsec, file.st_size, file.st_ino};
  }
};

// Says when it is time to look at a file again. Not thread-safe.
class LookTimer {
 public:
  explicit LookTimer(std::chrono::nanoseconds interval) : interval_(interval) {}

  // True at first, and once the interval has passed since it was true.
  bool IsDue() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return false;
    next_ = now + interval_;
    return true;
  }

 private:
  const std::chrono::nanoseconds interval_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace sdar
