// SPDX-License-Identifier: Apache-2.0
// What each kernel has to move and to compute: the formulas that the kernel sweep holds times
// against. Inputs and outputs count once; what a kernel keeps between its own phases does not.
// Pure functions.
#pragma once

#include <cstdint>

#include "common/dtype.h"
#include "kernels/backend.h"

namespace sdar {

struct KernelWork {
  double bytes = 0;
  double flops = 0;  // exponentials, divisions and comparisons count as one each

  // The longer of moving and computing. A speed of 0 is not known and bounds nothing.
  double FloorSeconds(double bytes_per_s, double flops_per_s) const;
};

// Per value: a table element read, a float32 written.
KernelWork EmbedWork(int64_t rows, int64_t hidden, DType act);

// Per value: residual read and written and delta read in float32, out written; 5 operations (add,
// square, sum, two factors).
KernelWork AddRmsNormWork(int64_t rows, int64_t hidden, DType act);

// The weight and x read, a float32 written per output; 2 operations per weight and row.
KernelWork MatMulWork(int64_t rows, int64_t cols, int64_t outputs, DType act);

// Per value: qkv read and written in float32, k and v written to pages; 7 operations per value of q
// and k (square, sum, two factors, and three for the rotation).
KernelWork QkNormRopeWriteWork(const AttentionShape& shape, int64_t rows, DType act);

// Every sequence's committed K/V and its rows' qkv (float32) read, out written; 4 operations per
// row, head, value of it and visible position. All rows of a sequence are of one block.
struct AttentionCase {
  int64_t sequences = 0;
  int64_t rows_of_one = 0;
  int64_t context = 0;
};
KernelWork BlockAttentionWork(const AttentionShape& shape, const AttentionCase& which, DType act);

// Per output: gate and up read in float32, out written; 4 operations (exp, add, quotient, product).
KernelWork SwiGluWork(int64_t rows, int64_t width, DType act);

// Logits read, k ids and weights written per row; 3 operations per expert for the softmax and one
// comparison per expert and choice.
KernelWork RouteWork(int64_t rows, int64_t experts, int64_t k);

// Three matrices of each expert that has rows, x, ids and weights read, out written in float32; 6
// operations per slot, hidden value and column of the expert.
struct ExpertsCase {
  int64_t rows = 0;
  int64_t k = 0;
  double touched = 0;  // experts that have rows
  int64_t hidden = 0;
  int64_t width = 0;
};
KernelWork ExpertsWork(const ExpertsCase& which, DType act);

// Logits read once in float32; 8 operations each (scale, maximum, exp and sum, z * exp and sum, and
// the comparisons of the first candidates and the draw).
KernelWork SummarizeLogitsWork(int64_t rows, int64_t columns);

}  // namespace sdar
