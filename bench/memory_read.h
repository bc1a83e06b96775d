// SPDX-License-Identifier: Apache-2.0
// How fast this machine's threads read memory when they do nothing else: what a pass that is bound
// by reading weights is held against.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

// A buffer beyond the caches and threads on the same cores as the backend's.
class MemoryRead {
 public:
  MemoryRead(const CoreShare& cores, size_t size_bytes);

  // Reads the whole buffer once, every thread its part, and returns bytes per second.
  double Run();

 private:
  ThreadPool pool_;
  std::vector<uint64_t> buffer_;
  std::vector<uint64_t> sums_;  // one a thread: keeps the reads from being optimised away
};

}  // namespace sdar
