// SPDX-License-Identifier: Apache-2.0
// Non-owning views of matrices in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/dtype.h"

namespace sdar {

// A row-major matrix [rows, cols] whose rows lie row_stride elements apart. Borrows its memory.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;

  // The typed start of row `row`; the caller knows the element type.
  template <typename T>
  T* Row(int64_t row) const {
    return static_cast<T*>(data) + row * row_stride;
  }
};

// A dense view over `data`.
inline TensorView MakeView(void* data, DType dtype, int64_t rows, int64_t cols) {
  return {data, dtype, rows, cols, cols};
}

}  // namespace sdar
