// SPDX-License-Identifier: Apache-2.0
// Which cores a process may use, and how processes that share them split them.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace sdar {

// The cores this process may run on.
struct AllowedCores {
  std::vector<int> cpus;  // one logical CPU per physical core
  std::string mask;       // the process's whole CPU mask in hex: equal masks mean shared cores
  // Seconds of processor time for each second that its control group allows, however many cores
  // there are.
  double limit = std::numeric_limits<double>::infinity();
};
AllowedCores FindAllowedCores();

// What one process runs its arithmetic on.
struct CoreShare {
  int num_threads = 1;
  std::vector<int> cpus;  // disjoint from those of the others; empty: unpinned
  bool spin = false;
};

// Splits the cores among `num_sharers` processes that share them and returns the part of number
// `index`. When there are fewer cores than sharers everybody gets one unpinned thread that does not
// spin. Where the limit is below the number of cores, as many threads as it has time for, rounded
// up, are split in their place: unpinned, for the kernel moves them to cores that are free, and
// they do not spin, for that would use up time that others need. threads_wanted > 0 sets the number
// of threads instead; beyond the part's cores they are unpinned and do not spin.
CoreShare ShareCores(const AllowedCores& allowed, int num_sharers, int index, int threads_wanted);

}  // namespace sdar
