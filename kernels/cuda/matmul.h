// SPDX-License-Identifier: Apache-2.0
// Dense matrix products on a device: cuBLASLt, or loops where kernels run on the host.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "kernels/backend.h"
#include "kernels/cuda/runtime.h"

namespace sdar::cuda {

// One thread.
class DeviceMatMul {
 public:
  // Internal names what the library refused.
  static absl::StatusOr<std::unique_ptr<DeviceMatMul>> Create(cudaStream_t stream);
  virtual ~DeviceMatMul() = default;

  // Enqueues out = x * weight^T, sums in float32. weight: row-major as stored; x: its dtype; out:
  // float32. The weight is the left operand, so that tokens fill the dimension that may be small.
  // The first product of a shape and bucket of rows times the algorithms that the library proposes
  // and keeps the fastest for all later ones; it may not be captured into a graph.
  virtual absl::Status Run(const PackedWeight& weight, const TensorView& x,
                           const TensorView& out) = 0;
};

}  // namespace sdar::cuda
