// SPDX-License-Identifier: Apache-2.0
// How fast this machine's threads read and copy memory when they do nothing else: what a pass that
// reads weights, and the packing of weights, are held against.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "kernels/backend.h"
#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

// A buffer beyond the caches and threads on the same cores as the backend's.
class MemorySpeed {
 public:
  // Where the backend's weights lie too. ResourceExhausted when there is no room.
  static absl::StatusOr<std::unique_ptr<MemorySpeed>> Create(const CoreShare& cores,
                                                             size_t size_bytes);

  // Reads the whole buffer once, every thread its part, and returns bytes per second.
  double Read();
  // Copies half of the buffer into memory allocated for it, as loading does, and returns bytes
  // copied per second. ResourceExhausted when there is no room.
  absl::StatusOr<double> Copy();

 private:
  MemorySpeed(const CoreShare& cores, DeviceBuffer memory);

  ThreadPool pool_;
  DeviceBuffer memory_;
  absl::Span<uint64_t> words_;
  std::vector<uint64_t> sums_;  // one a thread: keeps the reads from being optimised away
};

}  // namespace sdar
