// SPDX-License-Identifier: Apache-2.0
// What processes hold, as the kernel counts it, and whether it grows.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tests/launcher/process.h"

namespace sdar {

// The number after `field` in /proc/PID/status; 0 when the process is gone.
inline double StatusNumber(pid_t pid, const std::string& field) {
  const std::string status = ReadText("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("\n" + field + ":");
  return at == std::string::npos ? 0 : std::atof(status.c_str() + at + field.size() + 2);
}

inline double ResidentMiB(pid_t pid) { return StatusNumber(pid, "VmRSS") / 1024; }
inline int NumThreads(pid_t pid) { return static_cast<int>(StatusNumber(pid, "Threads")); }
inline int NumOpenFiles(pid_t pid) {
  const std::filesystem::directory_iterator files("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<int>(std::distance(begin(files), end(files)));
}

// The median of the samples in the given quarter, 0 .. 3, of a run. Requires: 4 samples at least.
inline double MedianOfQuarter(const std::vector<double>& samples, size_t quarter) {
  const auto bound = [&](size_t q) {
    return samples.begin() + static_cast<std::ptrdiff_t>(samples.size() * q / 4);
  };
  std::vector<double> part(bound(quarter), bound(quarter + 1));
  const auto middle = part.begin() + static_cast<std::ptrdiff_t>(part.size() / 2);
  std::nth_element(part.begin(), middle, part.end());
  return *middle;
}

}  // namespace sdar
