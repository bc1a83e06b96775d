// SPDX-License-Identifier: Apache-2.0
// What a job found on its machine, for the log: its cores, what a control group takes of them, its
// memory.
#pragma once

#include <string>
#include <vector>

#include "common/machine/control_group.h"
#include "kernels/cpu/core_assignment.h"

namespace sdar {

// "2 core(s), of which a control group allows 1.0: 1 thread(s) a rank, neither pinned nor
// spinning".
std::string DescribeCores(const AllowedCores& allowed, const CoreShare& share);

// "memory: 15.2 GiB are free, of 16.0 GiB that a control group allows".
std::string DescribeMemory(const ControlGroup& group);

// What a user should know before they wonder: more threads than the control group has time for,
// an NVIDIA driver without a use (`why_no_gpu` says why; empty: it is used, or nobody wants it),
// RDMA devices where memory cannot be locked. `root`: where /dev and /proc lie.
std::vector<std::string> FindMachineWarnings(const AllowedCores& allowed, int threads_wanted,
                                             const std::string& why_no_gpu,
                                             const std::string& root = "");

}  // namespace sdar
