// SPDX-License-Identifier: Apache-2.0
// What Linux's control groups allow this process: processor time and memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sdar {

// The groups that hold this process, of version 1 or 2, as far as they are mounted here: in a
// container often only its own. What cannot be read sets no limit. Thread-safe; every call reads
// the groups' files again.
class ControlGroup {
 public:
  // Reads /proc/self/cgroup and /proc/self/mountinfo below `root`; mount points are taken below it
  // too.
  static ControlGroup OfThisProcess(const std::string& root = "");

  // Seconds of processor time for each second of the clock, the least of all levels; nullopt where
  // none limits it.
  std::optional<double> CpuLimit() const;

  // Bytes, the least of all levels; nullopt where none limits it.
  std::optional<int64_t> MemoryLimit() const;
  // Bytes until the first level's limit is reached. The page cache of files counts as free, since
  // the kernel takes it back. nullopt where no level has a limit; at least 0.
  std::optional<int64_t> FreeMemory() const;
  // Most bytes that the own group has used so far, the page cache included; nullopt where the
  // kernel does not say.
  std::optional<int64_t> PeakMemory() const;
  // Processes of the own group that the kernel has killed for want of memory; 0 where it does not
  // say.
  int64_t OomKills() const;

 private:
  // The levels of one controller, the own group first.
  struct Levels {
    bool is_v2 = false;
    std::vector<std::string> folders;
  };
  static Levels Find(const std::string& root, const std::string& controller);
  std::optional<int64_t> MemoryLimit(const std::string& folder) const;
  std::optional<int64_t> FreeMemory(const std::string& folder) const;

  Levels cpu_;
  Levels memory_;
};

}  // namespace sdar
