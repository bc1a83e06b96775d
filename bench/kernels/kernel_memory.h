// SPDX-License-Identifier: Apache-2.0
// Device memory full of made-up values, for timing single kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

#include "kernels/backend.h"

namespace sdar {

// A matrix that owns its memory.
struct OwnedMatrix {
  DeviceBuffer buffer;
  TensorView view;
};

// Values are nearly normal with deviation 0.02, as weights are, and repeat after some millions:
// zeros would cost a GPU less power, and so less time.
class KernelMemory {
 public:
  // Requires: `backend` outlives it.
  explicit KernelMemory(Backend& backend);

  absl::StatusOr<DeviceBuffer> Random(int64_t count, DType dtype);
  absl::StatusOr<OwnedMatrix> RandomMatrix(int64_t rows, int64_t cols, DType dtype);
  // Not filled: for outputs.
  absl::StatusOr<OwnedMatrix> Matrix(int64_t rows, int64_t cols, DType dtype);
  absl::StatusOr<PackedWeight> RandomWeight(int64_t rows, int64_t cols);
  // As many weights of a shape as make up cold_bytes, within reason.
  absl::StatusOr<std::vector<PackedWeight>> RandomWeights(int64_t rows, int64_t cols,
                                                          int64_t cold_bytes);

  template <typename T>
  absl::StatusOr<DeviceBuffer> Upload(const std::vector<T>& values) {
    absl::StatusOr<DeviceBuffer> buffer = backend_.Allocate(values.size() * sizeof(T));
    if (!buffer.ok()) return buffer;
    backend_.CopyToDevice(values.data(), values.size() * sizeof(T), buffer->data());
    return buffer;
  }

  Backend& backend() { return backend_; }
  DType act() const { return backend_.act_dtype(); }

 private:
  Backend& backend_;
  std::vector<BFloat16> values_;
  std::vector<float> floats_;
};

// How many things of `bytes` make up cold_bytes: at least one, at most 1024.
int64_t ColdCopies(int64_t bytes, int64_t cold_bytes);

}  // namespace sdar
