// SPDX-License-Identifier: Apache-2.0
// The seam between the model and a device: memory, weights, and one call that runs any operation.
// Knows no rank, request or model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "kernels/operations.h"
#include "kernels/weight_format.h"
#include "kernels/weights.h"

namespace sdar {

// One device's arithmetic. Calls enqueue in order (the CPU runs them at once); what goes wrong
// surfaces at Synchronize. Requires: one calling thread; shapes that agree (checked, a bug
// otherwise).
class Backend {
 public:
  virtual ~Backend() = default;

  // For logs: "cpu avx512_bf16, 2 threads".
  virtual std::string Description() const = 0;
  virtual DType act_dtype() const = 0;

  // Makes the calling thread the one that makes all further calls: pins it to its core, selects its
  // device.
  virtual void BindThread() = 0;

  // ResourceExhausted when the device has no room.
  virtual absl::StatusOr<DeviceBuffer> Allocate(size_t size_bytes) = 0;
  virtual void CopyToDevice(const void* host, size_t size_bytes, void* device) = 0;
  virtual void CopyToHost(const void* device, size_t size_bytes, void* host) = 0;
  // Waits for all that was enqueued; Internal names what failed since the last call.
  virtual absl::Status Synchronize() = 0;

  // Whether Repeat captures: then steps are worth padding so that they are alike.
  virtual bool captures() const { return false; }
  // Enqueues what `enqueue` enqueues. A device that captures may do what an earlier call with this
  // key enqueued instead of asking again, so calls with one key must enqueue the same operations on
  // the same memory, whatever it holds, and none that waits, allocates or copies from or to the
  // host. A device communicator's collectives may be among them. Errors: enqueue's, and Internal
  // where the device cannot capture.
  virtual absl::Status Repeat(const std::vector<int64_t>& key,
                              absl::FunctionRef<absl::Status()> enqueue) {
    (void)key;
    return enqueue();
  }

  // Packs the pieces' rows, stacked in order, each with `cols` columns. Reads each source byte from
  // memory once; in parallel. InvalidArgument for a format that this backend does not have.
  virtual absl::StatusOr<PackedWeight> Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                            WeightFormat format) = 0;
  // The piece's rows as a table for op::Embed: row-major, of the act dtype. Otherwise as Pack.
  virtual absl::StatusOr<DeviceBuffer> MakeTable(const WeightPiece& piece, int64_t cols) = 0;

  // Enqueues one operation. Its operands' memory must last until that has run.
  virtual void Run(const Operation& operation) = 0;
};

}  // namespace sdar
