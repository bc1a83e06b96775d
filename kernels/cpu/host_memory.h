// SPDX-License-Identifier: Apache-2.0
// Memory of the CPU backend.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

#include "kernels/backend.h"

namespace sdar {

// Zeroed memory, aligned to 64 bytes or more. Of large sizes the kernel zeroes a page when a thread
// first touches it, and gives huge pages where it has them: a stream of weights then misses the
// translation caches rarely. ResourceExhausted when there is no room.
absl::StatusOr<DeviceBuffer> AllocateHostMemory(size_t size_bytes);

// Memory of one user that grows to the largest size asked for and forgets what it held then. In
// whole huge pages where it is large: what is read again and again from the second-level cache must
// lie there together, not where small pages happen to fall.
class ScratchMemory {
 public:
  // At least `count` elements, aligned to 64 bytes. Ends the process where there is no room.
  template <typename T>
  T* Room(int64_t count) {
    return static_cast<T*>(Bytes(static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  void* Bytes(size_t size);

  DeviceBuffer memory_;
};

}  // namespace sdar
