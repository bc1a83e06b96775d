// SPDX-License-Identifier: Apache-2.0
// How the CPU backend keeps weights.
//
// A weight [rows, cols] is stored as ceil(rows / 32) tiles, one after the other; a tile holds 32
// output columns for all of k as words of four bytes [words][32]: a float32, a pair of bfloat16
// (what VDPBF16PS and its kin take) or four signed bytes (VPDPBUSD). Missing rows and the rest of
// the last word are zeros. After the words of an int8 tile stand its columns' scales [32] float32
// and the sums of their weights [32] int32.
#pragma once

#include <cstdint>

#include "absl/types/span.h"

#include "kernels/backend.h"
#include "kernels/cpu/simd/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

// Columns of an int8 weight at most: this many products of an unsigned and a signed byte fit an
// int32.
inline constexpr int64_t kMaxInt8Cols = 65536;

int64_t NumTiles(const PackedWeight& weight);
// Words of one column.
int64_t NumWords(const PackedWeight& weight);
int64_t TileBytes(const PackedWeight& weight);

// Row `row` of a piece as `cols` elements of `act`, bfloat16 or float32.
void EncodeRow(const WeightPiece& piece, int64_t row, int64_t cols, DType act, void* out);

// Fills the storage of `packed` (all else is set, NumTiles * TileBytes bytes of zeros) from the
// pieces' rows, stacked in order; tiles in parallel, each source byte read from memory once. int8:
// a row is divided by the 127th part of its largest magnitude and rounded to nearest even.
void PackWeight(absl::Span<const WeightPiece> pieces, const SimdKernels& kernels, ThreadPool& pool,
                const PackedWeight& packed);

}  // namespace sdar
