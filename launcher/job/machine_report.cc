// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/machine_report.h"

#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <sys/resource.h>

#include "launcher/job/memory_amount.h"

namespace sdar {
namespace {

// In the unit that people would take.
std::string Readable(int64_t bytes) {
  if (bytes < int64_t{1} << 30) return absl::StrCat(bytes >> 20, " MiB");
  return absl::StrFormat("%.1f GiB", static_cast<double>(bytes) / (1 << 30));
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

std::string DescribeCores(const AllowedCores& allowed, const CoreShare& share) {
  const size_t cores = allowed.cpus.size();
  std::string text = absl::StrCat(cores, " core(s)");
  if (allowed.limit < static_cast<double>(cores)) {
    absl::StrAppendFormat(&text, ", of which a control group allows %.1f", allowed.limit);
  }
  absl::StrAppend(&text, ": ", share.num_threads, " thread(s) a rank, ",
                  share.spin ? "pinned" : "neither pinned nor spinning");
  return text;
}

std::string DescribeMemory(const ControlGroup& group) {
  const absl::StatusOr<int64_t> free = FreeMemory(group);
  if (!free.ok()) return absl::StrCat("memory: ", free.status().message());
  std::string text = absl::StrCat("memory: ", Readable(*free), " are free");
  const std::optional<int64_t> limit = group.MemoryLimit();
  if (limit) absl::StrAppend(&text, ", of ", Readable(*limit), " that a control group allows");
  return text;
}

std::vector<std::string> FindMachineWarnings(const AllowedCores& allowed, int threads_wanted,
                                             const std::string& why_no_gpu,
                                             const std::string& root) {
  std::vector<std::string> warnings;
  if (threads_wanted > std::ceil(allowed.limit)) {
    warnings.push_back(absl::StrFormat(
        "--threads=%d: the control group allows the time of %.1f core(s), in which more threads "
        "wait for each other",
        threads_wanted, allowed.limit));
  }
  if (!why_no_gpu.empty() && Exists(root + "/proc/driver/nvidia/version")) {
    warnings.push_back(
        absl::StrCat("there is an NVIDIA driver, but the CPU computes: ", why_no_gpu));
  }
  rlimit locked = {};
  getrlimit(RLIMIT_MEMLOCK, &locked);
  if (locked.rlim_cur != RLIM_INFINITY && Exists(root + "/dev/infiniband")) {
    warnings.push_back(absl::StrCat("there are RDMA devices, but only ", locked.rlim_cur >> 10,
                                    " KiB of memory may be locked (ulimit -l), which they need"));
  }
  return warnings;
}

}  // namespace sdar
