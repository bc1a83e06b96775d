// SPDX-License-Identifier: Apache-2.0
// Memory of the CPU backend.
#pragma once

#include "absl/status/statusor.h"

#include "kernels/backend.h"

namespace sdar {

// Zeroed memory, aligned to 64 bytes or more. Of large sizes the kernel zeroes a page when a thread
// first touches it, and gives huge pages where it has them: a stream of weights then misses the
// translation caches rarely. ResourceExhausted when there is no room.
absl::StatusOr<DeviceBuffer> AllocateHostMemory(size_t size_bytes);

}  // namespace sdar
