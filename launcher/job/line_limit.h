// SPDX-License-Identifier: Apache-2.0
// A bound on how often one place in the code may write to the log.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

#include "common/steady_time.h"

namespace sdar {

// Admits at most kMostLines lines of one place (file and line) in every kInterval, which begins
// with the first of them. What strangers do to a port makes a library log a line each time; they
// must not fill a disk. Any thread.
class LineLimit {
 public:
  static constexpr int kMostLines = 5;
  static constexpr absl::Duration kInterval = absl::Minutes(1);

  // For a line that is due at `now`: how many of the same place were left out just before it, or
  // nothing where this one is left out too.
  std::optional<int64_t> Admit(absl::string_view file, int line, SteadyTime now);

 private:
  struct Place {
    SteadyTime interval_start = SteadyTime::InfinitePast();
    int num_lines = 0;
    int64_t num_left_out = 0;
  };

  std::mutex mutex_;
  // Guarded by mutex_. There are as many places as the library has calls of its log.
  std::map<std::pair<std::string, int>, Place> places_;
};

}  // namespace sdar
