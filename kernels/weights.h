// SPDX-License-Identifier: Apache-2.0
// Memory of a device, and weights: where they come from and how a device keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/dtype.h"
#include "common/synthetic_weight.h"
#include "kernels/weight_format.h"

namespace sdar {

// Memory of a device, freed when it goes out of scope. Zeroed when it is allocated.
class DeviceBuffer {
 public:
  using Free = std::function<void(void*)>;
  DeviceBuffer() = default;
  DeviceBuffer(void* data, size_t size_bytes, Free free)
      : data_(data, std::move(free)), size_bytes_(size_bytes) {}
  void* data() const { return data_.get(); }
  size_t size_bytes() const { return size_bytes_; }

 private:
  std::unique_ptr<void, Free> data_{nullptr, [](void*) {}};
  size_t size_bytes_ = 0;
};

// Rows of a row-major matrix that become consecutive rows of a packed weight: in host memory, or
// made up where they are packed.
struct WeightPiece {
  const void* data = nullptr;  // first element of the first row; any alignment
  DType dtype = DType::kBFloat16;
  int64_t rows = 0;
  int64_t row_stride = 0;                                     // elements between rows
  std::optional<SyntheticElements> synthetic = std::nullopt;  // instead of data; dtype is bfloat16
};

// A weight [rows, cols] in the layout and dtype the device multiplies with; x [tokens, cols] gives
// y [tokens, rows].
struct PackedWeight {
  DeviceBuffer storage;
  DType dtype = DType::kBFloat16;  // of the x it multiplies
  WeightFormat format = WeightFormat::kAct;
  int64_t rows = 0;
  int64_t cols = 0;
};

// The experts of one layer that live on this device: ids first_expert .. first_expert +
// gate_up.size() - 1.
struct ExpertWeights {
  int64_t first_expert = 0;
  std::vector<PackedWeight> gate_up;  // each [2 * width, hidden]: gate rows, then up rows
  std::vector<PackedWeight> down;     // each [hidden, width]
};

}  // namespace sdar
