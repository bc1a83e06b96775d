// SPDX-License-Identifier: Apache-2.0
// Matrix fragments of a warp and what multiplies them.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace sdar::cuda {

// Fragments of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"), with g = lane / 4 and
// t = lane % 4:
//   a[0] holds rows g,     columns 2t, 2t + 1     a[1] the same of row g + 8
//   a[2] holds rows g,     columns 2t + 8, + 9    a[3] the same of row g + 8
//   b[0] holds column g of rows 2t, 2t + 1        b[1] of rows 2t + 8, 2t + 9
//   d[0], d[1] are row g, columns 2t, 2t + 1      d[2], d[3] the same of row g + 8
struct FragmentA {
  uint32_t words[4];
};
struct FragmentB {
  uint32_t words[2];
};
struct FragmentD {
  float values[4];
};

// d += a * b; a: [16, 16] and b: [16, 8] bfloat16, sums in float32. All lanes of a warp.
__device__ inline void MultiplyAdd(const FragmentA& a, const FragmentB& b, FragmentD& d) {
#ifdef SDAR_CUDA_ON_HOST
  struct Both {
    FragmentA a;
    FragmentB b;
  };
  const auto all = cuda_on_host::Exchange(Both{a, b});
  const auto half = [](uint32_t word, int index) {
    return ToFloat(Bf16{static_cast<uint16_t>(word >> (16 * index))});
  };
  const int g = static_cast<int>(threadIdx.x) % kWarp / 4, t = static_cast<int>(threadIdx.x) % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
    float sum = d.values[i];
    for (int k = 0; k < 16; ++k) {
      const int word = k / 8, lane = k % 8 / 2;
      const float x = half(all.lanes[row % 8 * 4 + lane].a.words[row / 8 + 2 * word], k % 2);
      const float y = half(all.lanes[column * 4 + lane].b.words[word], k % 2);
      sum += x * y;
    }
    d.values[i] = sum;
  }
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(d.values[0]), "+f"(d.values[1]), "+f"(d.values[2]), "+f"(d.values[3])
      : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b.words[0]),
        "r"(b.words[1]));
#endif
}

// Loads two [8, 8] bfloat16 matrices from shared memory, transposed: the fragment B whose rows are
// the rows of a row-major matrix. Lane l < 16 gives the address of row l, a multiple of 16 bytes;
// the others' are not used (ldmatrix.x2.trans).
__device__ inline FragmentB LoadTransposed(const Bf16* row) {
  FragmentB b;
#ifdef SDAR_CUDA_ON_HOST
  const auto rows = cuda_on_host::Exchange(row);
  const int g = static_cast<int>(threadIdx.x) % kWarp / 4, t = static_cast<int>(threadIdx.x) % 4;
  for (int word = 0; word < 2; ++word) {
    const uint32_t first = rows.lanes[8 * word + 2 * t][g].bits;
    const uint32_t second = rows.lanes[8 * word + 2 * t + 1][g].bits;
    b.words[word] = first | second << 16;
  }
  __syncwarp();
#else
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(b.words[0]), "=r"(b.words[1])
               : "r"(address)
               : "memory");
#endif
  return b;
}

// Two neighbours in shared or global memory as one word; the address is a multiple of 4.
__device__ inline uint32_t Pair(const Bf16* values) {
  return *reinterpret_cast<const uint32_t*>(values);
}

}  // namespace sdar::cuda
