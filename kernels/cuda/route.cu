// SPDX-License-Identifier: Apache-2.0
// Routing: softmax over the experts of a row, its k largest, ties to the lower id. One warp per
// row.
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kRows = 4;  // of one block

struct Expert {
  float z;
  int32_t id;
};

__device__ inline bool ComesFirst(const Expert& a, const Expert& b) {
  return a.z != b.z ? a.z > b.z : a.id < b.id;
}

// The first of the row's experts in order after `last`; every lane gets it.
__device__ Expert NextBest(const float* z, int num_experts, const Expert& last, bool first) {
  const float kMinusInfinity = __uint_as_float(0xFF800000u);
  Expert best = {kMinusInfinity, num_experts};
  for (int e = static_cast<int>(threadIdx.x) % kWarp; e < num_experts; e += kWarp) {
    const Expert candidate = {z[e] == z[e] ? z[e] : kMinusInfinity, e};  // NaN: last
    if ((first || ComesFirst(last, candidate)) && ComesFirst(candidate, best)) best = candidate;
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const Expert other = {__shfl_xor_sync(kAllLanes, best.z, mask),
                          __shfl_xor_sync(kAllLanes, best.id, mask)};
    if (ComesFirst(other, best)) best = other;
  }
  return best;
}

__global__ void RouteKernel(const float* logits, int64_t stride, int64_t rows, int num_experts,
                            int k, bool renormalize, int32_t* ids, float* weights) {
  const int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const float* z = logits + row * stride;
  Expert best = NextBest(z, num_experts, {}, true);
  const float max = best.z;
  float mine = 0;
  for (int e = lane; e < num_experts; e += kWarp) mine += expf(z[e] - max);
  const float total = WarpSum(mine);
  float chosen = 0;
  for (int s = 0; s < k; ++s) {
    if (s > 0) best = NextBest(z, num_experts, best, false);
    const float probability = expf(best.z - max) / total;
    chosen += probability;
    if (lane == 0) {
      ids[row * k + s] = best.id;
      weights[row * k + s] = probability;
    }
  }
  __syncwarp();
  if (!renormalize) return;
  for (int s = lane; s < k; s += kWarp) weights[row * k + s] /= chosen;
}

}  // namespace

void Route(const op::Route& call, cudaStream_t stream) {
  Launch(RouteKernel, dim3(static_cast<unsigned>((call.logits.rows + kRows - 1) / kRows)),
         kRows * kWarp, 0, stream, call.logits.Row<float>(0), call.logits.row_stride,
         call.logits.rows, static_cast<int>(call.logits.cols), static_cast<int>(call.k),
         call.renormalize, call.ids, call.weights);
}

}  // namespace sdar::cuda
