// SPDX-License-Identifier: Apache-2.0
// Packed weights of the CPU backend and the loop over their tiles.
//
// A weight [rows, cols] is stored as ceil(rows / 32) tiles, one after the other; a tile holds 32
// output columns for all of k: bfloat16 as [ceil(cols / 2)][32][2] (the pairs that VDPBF16PS and
// its kin take), float32 as [cols][32]. Missing rows and an odd last column are zeros.
#pragma once

#include "absl/types/span.h"

#include "kernels/backend.h"
#include "kernels/cpu/simd_kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

// Bytes of one tile.
int64_t TileBytes(DType dtype, int64_t cols);

// Bytes of a packed weight.
int64_t PackedBytes(DType dtype, int64_t rows, int64_t cols);

// Fills `packed` (rows, cols, dtype and storage set) from the pieces' rows, stacked in order; tiles
// in parallel.
void PackWeight(absl::Span<const WeightPiece> pieces, ThreadPool& pool, const PackedWeight& packed);

// out = x * weight^T, as Backend::MatMul.
struct MatMulJob {
  const PackedWeight* weight = nullptr;
  TensorView x;
  TensorView out;
};

// Runs all jobs' tiles as one loop over the threads.
void RunMatMuls(const SimdKernels& kernels, ThreadPool& pool, absl::Span<const MatMulJob> jobs);

}  // namespace sdar
