// SPDX-License-Identifier: Apache-2.0
// An amount of memory as a user writes it, and how much of it is free on this machine.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/machine/control_group.h"

namespace sdar {

// Bytes, or a part of what is free.
struct MemoryAmount {
  int64_t bytes = 0;    // 0: `fraction` counts
  double fraction = 0;  // in (0, 1)

  // What a rank gets where `ranks` of them share `free_bytes`.
  int64_t PerRank(int64_t free_bytes, int ranks) const;
};

// "1GiB", "512MiB", "1048576" (bytes) or "0.5" (of what is free). InvalidArgument names the flag.
absl::StatusOr<MemoryAmount> ParseMemoryAmount(absl::string_view flag, const std::string& text);

// Bytes that new pages of memory could take on this machine: MemAvailable, or what `group` still
// allows if that is less. NotFound when the kernel does not say.
absl::StatusOr<int64_t> FreeMemory(const ControlGroup& group = ControlGroup::OfThisProcess(),
                                   const std::string& meminfo = "/proc/meminfo");

}  // namespace sdar
