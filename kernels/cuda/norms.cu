// SPDX-License-Identifier: Apache-2.0
// RMSNorm with the residual's addition, and the norm, rotation and K/V write of attention heads.
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kHeadWarps = 4;

template <typename Act>
__global__ void AddRmsNormKernel(const float* delta, int64_t delta_stride, const float* weight,
                                 float eps, float* residual, int64_t residual_stride, Act* out,
                                 int64_t out_stride, int64_t hidden) {
  const int64_t row = blockIdx.x;
  residual += row * residual_stride;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) {
    float value = residual[i];
    if (delta != nullptr) {
      value += delta[row * delta_stride + i];
      residual[i] = value;
    }
    squares += value * value;
  }
  const float mean = BlockSum<kThreads>(squares) / static_cast<float>(hidden);
  const float scale = 1.0f / sqrtf(mean + eps);
  for (int64_t i = threadIdx.x; i < hidden; i += kThreads) {
    out[row * out_stride + i] = FromFloat<Act>(residual[i] * scale * weight[i]);
  }
}

struct HeadWork {
  int num_heads, num_kv_heads, head_dim;
  float eps;
  RopeAngles rope;
  const int32_t* positions;
  const int64_t* kv_slots;
  const float* q_norm;
  const float* k_norm;
  float* qkv;
  int64_t qkv_stride;
  int64_t page_size;
};

// Norm and rotation of one head by one warp; angles as the reference computes them, the products of
// frequencies and the position in float32.
__device__ void NormRope(const HeadWork& work, const float* weight, int32_t position, float* head) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int half = work.head_dim / 2;
  float squares = 0;
  for (int i = lane; i < work.head_dim; i += kWarp) squares += head[i] * head[i];
  const float mean = WarpSum(squares) / static_cast<float>(work.head_dim);
  const float scale = 1.0f / sqrtf(mean + work.eps);
  for (int i = lane; i < half; i += kWarp) {
    const float angle = static_cast<float>(position) * work.rope.frequencies[i];
    const float cosine = cosf(angle) * work.rope.scale, sine = sinf(angle) * work.rope.scale;
    const float a = head[i] * scale * weight[i];
    const float b = head[i + half] * scale * weight[i + half];
    head[i] = a * cosine - b * sine;
    head[i + half] = b * cosine + a * sine;
  }
  __syncwarp();
}

// Rounds a head in place to the dtype of the pages.
template <typename Kv>
__device__ void Round(const HeadWork& work, float* head) {
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < work.head_dim; i += kWarp) {
    head[i] = ToFloat(FromFloat<Kv>(head[i]));
  }
}

// Rounds a head likewise, and writes it to its slot.
template <typename Kv>
__device__ void RoundAndWrite(const HeadWork& work, int64_t slot, int kv_head, float* head,
                              Kv* pages) {
  const int64_t page = slot / work.page_size;
  const int64_t row = (page * work.num_kv_heads + kv_head) * work.page_size + slot % work.page_size;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < work.head_dim; i += kWarp) {
    const Kv rounded = FromFloat<Kv>(head[i]);
    head[i] = ToFloat(rounded);
    if (slot >= 0) pages[row * work.head_dim + i] = rounded;
  }
}

// One warp per row and head: query heads, then those of keys, then those of values.
template <typename Kv>
__global__ void QkNormRopeWriteKernel(HeadWork work, Kv* keys, Kv* values) {
  const int heads = work.num_heads + 2 * work.num_kv_heads;
  const int h = static_cast<int>(blockIdx.x) * kHeadWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (h >= heads) return;
  const int64_t row = blockIdx.y;
  float* head = work.qkv + row * work.qkv_stride + int64_t{h} * work.head_dim;
  const int kv_head = h - work.num_heads;
  if (kv_head < work.num_kv_heads) {
    NormRope(work, kv_head < 0 ? work.q_norm : work.k_norm, work.positions[row], head);
  }
  if (kv_head < 0) return Round<Kv>(work, head);
  const int64_t slot = work.kv_slots[row];
  if (kv_head < work.num_kv_heads) {
    RoundAndWrite(work, slot, kv_head, head, keys);
  } else {
    RoundAndWrite(work, slot, kv_head - work.num_kv_heads, head, values);
  }
}

}  // namespace

void AddRmsNorm(const op::AddRmsNorm& call, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(call.residual.rows));
  const float* added = call.delta ? call.delta->Row<float>(0) : nullptr;
  const int64_t delta_stride = call.delta ? call.delta->row_stride : 0;
  if (call.out.dtype == DType::kBFloat16) {
    Launch(AddRmsNormKernel<Bf16>, grid, kThreads, 0, stream, added, delta_stride,
           call.weight.Row<float>(0), call.eps, call.residual.Row<float>(0),
           call.residual.row_stride, call.out.Row<Bf16>(0), call.out.row_stride,
           call.residual.cols);
  } else {
    Launch(AddRmsNormKernel<float>, grid, kThreads, 0, stream, added, delta_stride,
           call.weight.Row<float>(0), call.eps, call.residual.Row<float>(0),
           call.residual.row_stride, call.out.Row<float>(0), call.out.row_stride,
           call.residual.cols);
  }
}

void QkNormRopeWrite(const op::QkNormRopeWrite& call, cudaStream_t stream) {
  const AttentionShape& shape = call.shape;
  const HeadWork work = {static_cast<int>(shape.num_heads),
                         static_cast<int>(shape.num_kv_heads),
                         static_cast<int>(shape.head_dim),
                         shape.rms_norm_eps,
                         call.rope,
                         call.layout.positions,
                         call.layout.kv_slots,
                         call.q_norm.Row<float>(0),
                         call.k_norm.Row<float>(0),
                         call.qkv.Row<float>(0),
                         call.qkv.row_stride,
                         call.pages.page_size};
  const int heads = work.num_heads + 2 * work.num_kv_heads;
  const dim3 grid(static_cast<unsigned>((heads + kHeadWarps - 1) / kHeadWarps),
                  static_cast<unsigned>(call.layout.num_rows));
  if (call.pages.dtype == DType::kBFloat16) {
    Launch(QkNormRopeWriteKernel<Bf16>, grid, kHeadWarps * kWarp, 0, stream, work,
           static_cast<Bf16*>(call.pages.keys), static_cast<Bf16*>(call.pages.values));
  } else {
    Launch(QkNormRopeWriteKernel<float>, grid, kHeadWarps * kWarp, 0, stream, work,
           static_cast<float*>(call.pages.keys), static_cast<float*>(call.pages.values));
  }
}

}  // namespace sdar::cuda
