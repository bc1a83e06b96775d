// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/core_assignment.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <hwloc.h>
#include <sched.h>

#include "common/machine/control_group.h"

namespace sdar {
namespace {

// The mask as the kernel reports it; the fallback where hwloc cannot read the machine.
AllowedCores FromAffinityMask() {
  AllowedCores allowed;
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    const bool in = CPU_ISSET(static_cast<size_t>(cpu), &set);
    if (in) allowed.cpus.push_back(cpu);
    allowed.mask.push_back(in ? '1' : '0');
  }
  return allowed;
}

AllowedCores FromTopology(hwloc_topology_t topology) {
  AllowedCores allowed;
  hwloc_bitmap_t bound = hwloc_bitmap_alloc();
  hwloc_bitmap_t in_core = hwloc_bitmap_alloc();
  if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0) {
    hwloc_bitmap_and(bound, bound, hwloc_topology_get_allowed_cpuset(topology));
    const int cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    for (int i = 0; i < cores; ++i) {
      const hwloc_obj_t core =
          hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, static_cast<unsigned>(i));
      hwloc_bitmap_and(in_core, core->cpuset, bound);
      const int first = hwloc_bitmap_first(in_core);
      if (first >= 0) allowed.cpus.push_back(first);
    }
    char* text = nullptr;
    if (hwloc_bitmap_asprintf(&text, bound) >= 0) {
      allowed.mask = text;
      std::free(text);
    }
  }
  hwloc_bitmap_free(in_core);
  hwloc_bitmap_free(bound);
  return allowed;
}

}  // namespace

AllowedCores FindAllowedCores() {
  AllowedCores allowed;
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) == 0) {
    if (hwloc_topology_load(topology) == 0) allowed = FromTopology(topology);
    hwloc_topology_destroy(topology);
  }
  if (allowed.cpus.empty()) allowed = FromAffinityMask();
  allowed.limit = ControlGroup::OfThisProcess().CpuLimit().value_or(allowed.limit);
  return allowed;
}

CoreShare ShareCores(const AllowedCores& allowed, int num_sharers, int index, int threads_wanted) {
  const int cores = static_cast<int>(allowed.cpus.size());
  const bool is_limited = allowed.limit < cores;
  const int whole = is_limited ? std::max(1, static_cast<int>(std::ceil(allowed.limit))) : cores;
  const int begin = whole * index / num_sharers;
  const int end = whole * (index + 1) / num_sharers;
  CoreShare share;
  share.num_threads = threads_wanted > 0 ? threads_wanted : (whole < num_sharers ? 1 : end - begin);
  if (is_limited || whole < num_sharers || share.num_threads > end - begin) return share;
  const auto first = allowed.cpus.begin() + begin;
  share.cpus.assign(first, first + share.num_threads);
  share.spin = true;
  return share;
}

}  // namespace sdar
