// SPDX-License-Identifier: Apache-2.0
#include "common/machine/control_group.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace sdar {
namespace {

// Version 1 writes "no limit" as the largest multiple of a page.
constexpr int64_t kMostBytes = int64_t{1} << 60;
// Deeper trees of groups are not looked at whole.
constexpr int kMostLevels = 64;

std::vector<std::string> ReadLines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// The value of `key` in a file of lines "key value".
std::optional<int64_t> ReadKey(const std::string& path, absl::string_view key) {
  for (const std::string& line : ReadLines(path)) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    int64_t value = 0;
    if (words.size() == 2 && words[0] == key && absl::SimpleAtoi(words[1], &value)) return value;
  }
  return std::nullopt;
}

template <typename T>
void TakeLess(std::optional<T>& least, const std::optional<T>& value) {
  if (value && (!least || *value < *least)) least = value;
}

// Where a hierarchy of groups is mounted.
struct Mount {
  std::string root;  // the group that lies at `point`
  std::string point;
  std::string type;                   // cgroup or cgroup2
  std::vector<std::string> features;  // of version 1: its controllers, among other words
};

// One line of mountinfo (proc(5)): ID PARENT DEVICE ROOT POINT OPTIONS [TAG]... - TYPE SOURCE
// FEATURES.
std::optional<Mount> ParseMount(absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  const auto dash = absl::c_find(words, "-");
  if (words.size() < 6 || words.end() - dash < 4) return std::nullopt;
  return Mount{words[3], words[4], *(dash + 1), absl::StrSplit(*(dash + 3), ',')};
}

// The path of this process's group below its hierarchy's root, by controller; version 2's has the
// empty name.
std::map<std::string, std::string> ReadGroups(const std::string& path) {
  std::map<std::string, std::string> groups;
  for (const std::string& line : ReadLines(path)) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    for (const absl::string_view controller : absl::StrSplit(parts[1], ',')) {
      groups[std::string(controller)] = parts[2];
    }
  }
  return groups;
}

// The folders from the group at `path` up to the mount point. A path outside of the mount is that
// of a group that this process cannot see: the mount point stands for it.
std::vector<std::string> FoldersOf(const std::string& root, const Mount& mount,
                                   absl::string_view path) {
  const absl::string_view top = absl::StripSuffix(mount.root, "/");
  const bool is_below = absl::ConsumePrefix(&path, top) && (path.empty() || path[0] == '/');
  std::vector<std::string> parts;
  if (is_below) parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  if (absl::c_linear_search(parts, "..")) parts.clear();
  std::vector<std::string> folders;
  for (int level = 0; level < kMostLevels; ++level) {
    folders.push_back(absl::StrCat(root, mount.point, "/", absl::StrJoin(parts, "/")));
    if (parts.empty()) break;
    parts.pop_back();
  }
  return folders;
}

}  // namespace

ControlGroup ControlGroup::OfThisProcess(const std::string& root) {
  ControlGroup group;
  group.cpu_ = Find(root, "cpu");
  group.memory_ = Find(root, "memory");
  return group;
}

ControlGroup::Levels ControlGroup::Find(const std::string& root, const std::string& controller) {
  const std::map<std::string, std::string> groups = ReadGroups(root + "/proc/self/cgroup");
  Levels v2;
  for (const std::string& line : ReadLines(root + "/proc/self/mountinfo")) {
    const std::optional<Mount> mount = ParseMount(line);
    if (!mount) continue;
    if (mount->type == "cgroup" && absl::c_linear_search(mount->features, controller)) {
      const auto group = groups.find(controller);
      if (group != groups.end()) return {false, FoldersOf(root, *mount, group->second)};
    }
    const auto unified = groups.find("");
    if (mount->type == "cgroup2" && unified != groups.end()) {
      v2 = {true, FoldersOf(root, *mount, unified->second)};
    }
  }
  return v2;
}

std::optional<double> ControlGroup::CpuLimit() const {
  std::optional<double> least;
  for (const std::string& folder : cpu_.folders) {
    std::optional<int64_t> quota = ReadNumber(folder + "/cpu.cfs_quota_us");
    std::optional<int64_t> period = ReadNumber(folder + "/cpu.cfs_period_us");
    if (cpu_.is_v2) {
      std::ifstream file(folder + "/cpu.max");  // "max 100000" where there is no limit
      int64_t first = 0;
      int64_t second = 0;
      if (!(file >> first >> second)) continue;
      quota = first;
      period = second;
    }
    if (!quota || !period || *quota <= 0 || *period <= 0) continue;
    TakeLess<double>(least, static_cast<double>(*quota) / static_cast<double>(*period));
  }
  return least;
}

std::optional<int64_t> ControlGroup::MemoryLimit(const std::string& folder) const {
  const std::optional<int64_t> limit =
      ReadNumber(folder + (memory_.is_v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  if (!limit || *limit < 0 || *limit >= kMostBytes) return std::nullopt;
  return limit;
}

std::optional<int64_t> ControlGroup::FreeMemory(const std::string& folder) const {
  const std::optional<int64_t> limit = MemoryLimit(folder);
  const std::optional<int64_t> used =
      ReadNumber(folder + (memory_.is_v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!limit || !used) return std::nullopt;
  // Version 1 counts those of the groups below under other names.
  const std::string prefix = memory_.is_v2 ? "" : "total_";
  const std::string statistics = folder + "/memory.stat";
  const int64_t cache = ReadKey(statistics, prefix + "inactive_file").value_or(0) +
                        ReadKey(statistics, prefix + "active_file").value_or(0);
  return std::clamp<int64_t>(*limit - *used + std::clamp<int64_t>(cache, 0, kMostBytes), 0, *limit);
}

std::optional<int64_t> ControlGroup::MemoryLimit() const {
  std::optional<int64_t> least;
  for (const std::string& folder : memory_.folders) TakeLess(least, MemoryLimit(folder));
  return least;
}

std::optional<int64_t> ControlGroup::FreeMemory() const {
  std::optional<int64_t> least;
  for (const std::string& folder : memory_.folders) TakeLess(least, FreeMemory(folder));
  return least;
}

std::optional<int64_t> ControlGroup::PeakMemory() const {
  if (memory_.folders.empty()) return std::nullopt;
  return ReadNumber(memory_.folders[0] +
                    (memory_.is_v2 ? "/memory.peak" : "/memory.max_usage_in_bytes"));
}

int64_t ControlGroup::OomKills() const {
  if (memory_.folders.empty()) return 0;
  return ReadKey(memory_.folders[0] + (memory_.is_v2 ? "/memory.events" : "/memory.oom_control"),
                 "oom_kill")
      .value_or(0);
}

}  // namespace sdar
