// SPDX-License-Identifier: Apache-2.0
// The experts' products by mma.m16n8k16, and dot by dot in float32.
#include "kernels/cuda/expert_product.h"

namespace sdar::cuda {
namespace {

constexpr int kBlocksPerMultiprocessor = 4;

struct MmaTiles {
  static constexpr int kTokens = kMmaTokens;
  static constexpr int kRows = kWeightRows + kTokens;
  static constexpr int kStride = kProductDepth + 8;  // elements: no two of 8 rows share banks
  static constexpr size_t kSharedBytes = sizeof(Bf16) * kProductStages * kRows * kStride;
  Bf16* base;

  __device__ Bf16* Row(int stage, int row) const { return base + (stage * kRows + row) * kStride; }
  __device__ Bf16* Chunk(int stage, int row, int chunk) const {
    return Row(stage, row) + chunk * 8;
  }
  __device__ static void ShowCopies() {}

  __device__ void Multiply(const ProductTile& tile, int stage,
                           FragmentD (&sums)[kTokens / 8]) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int g = lane / 4, t = lane % 4;
    const int first_row = static_cast<int>(threadIdx.x) / kWarp * 16;
    const Bf16* upper = Row(stage, first_row + g) + 2 * t;
    const Bf16* lower = Row(stage, first_row + g + 8) + 2 * t;
#pragma unroll
    for (int k = 0; k < kProductDepth; k += 16) {
      const FragmentA a = {
          {Pair(upper + k), Pair(lower + k), Pair(upper + k + 8), Pair(lower + k + 8)}};
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
        if (n * 8 >= tile.num_slots) continue;
        const Bf16* token = Row(stage, kWeightRows + n * 8 + g) + 2 * t + k;
        MultiplyAdd(a, {{Pair(token), Pair(token + 8)}}, sums[n]);
      }
    }
  }
};

// One warp per slot and output. Grid: slots, outputs.
template <bool kGated>
__global__ void PlainProductKernel(ExpertProduct p) {
  const int slot = static_cast<int>(blockIdx.x);
  if (slot >= p.first_slot[p.num_experts]) return;
  int expert = 0;
  while (p.first_slot[expert + 1] <= slot) ++expert;
  const auto* weight = static_cast<const float*>(p.weights[expert]);
  const auto* x =
      static_cast<const float*>(p.x) + (p.rows == nullptr ? slot : p.rows[slot]) * p.x_stride;
  const int output = static_cast<int>(blockIdx.y);
  float sum = 0, up = 0;
  for (int i = static_cast<int>(threadIdx.x); i < p.depth; i += kWarp) {
    sum += weight[int64_t{output} * p.depth + i] * x[i];
    if (kGated) up += weight[int64_t{p.outputs + output} * p.depth + i] * x[i];
  }
  sum = WarpSum(sum);
  if (kGated) sum = sum / (1.0f + expf(-sum)) * WarpSum(up);
  if (threadIdx.x == 0) static_cast<float*>(p.y)[slot * p.y_stride + output] = sum;
}

}  // namespace

void RunMmaProduct(const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                   cudaStream_t stream) {
  RunProduct<MmaTiles>(p, gated, slots, num_multiprocessors, kBlocksPerMultiprocessor, stream);
}

void RunPlainProduct(const ExpertProduct& p, bool gated, int64_t slots, cudaStream_t stream) {
  Launch(gated ? PlainProductKernel<true> : PlainProductKernel<false>,
         dim3(static_cast<unsigned>(slots), static_cast<unsigned>(p.outputs)), kWarp, 0, stream, p);
}

}  // namespace sdar::cuda
