// SPDX-License-Identifier: Apache-2.0
// Attention key by key: for float32 arithmetic, and head sizes that fill no fragment.
#include "kernels/cuda/attention_work.h"

namespace sdar::cuda {
namespace {

constexpr int kMaxHeadDim = 256;

// One warp per row and head. Grid: queries, K/V heads.
template <typename Kv>
__global__ void PlainAttentionKernel(AttentionWork work, const Kv* keys, const Kv* values) {
  constexpr int kParts = kMaxHeadDim / kWarp;
  const Tile tile = FindTile(work, static_cast<int>(blockIdx.x), 1);
  if (!tile.there) return;
  const AttentionSegment& segment = tile.segment;
  const int lane = static_cast<int>(threadIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  const int row = tile.first_query / work.group();
  const int head = kv_head * work.group() + tile.first_query % work.group();
  const float* query = work.Query(segment.first_row + row, head);
  float sums[kParts] = {};
  float max = __uint_as_float(0xFF800000u), total = 0;
  const int end = VisibleEnd(segment, row);
  for (int position = 0; position < end; ++position) {
    const bool own = position >= segment.first_position;
    const int own_row = segment.first_row + position - segment.first_position;
    const int64_t offset = own ? 0 : work.PageOffset(segment, kv_head, position);
    const float* own_key = work.OwnKey(own_row, kv_head);
    const float* own_value = work.OwnValue(own_row, kv_head);
    float product = 0;
    for (int d = lane; d < work.head_dim; d += kWarp) {
      product += query[d] * (own ? own_key[d] : ToFloat(keys[offset + d]));
    }
    const float score = WarpSum(product) * work.scale;
    const float new_max = fmaxf(max, score);
    const float correction = expf(max - new_max), p = expf(score - new_max);
    total = total * correction + p;
    max = new_max;
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      const int d = lane + i * kWarp;
      if (d >= work.head_dim) continue;
      sums[i] = sums[i] * correction + p * (own ? own_value[d] : ToFloat(values[offset + d]));
    }
  }
  Kv* out = static_cast<Kv*>(work.out) + (segment.first_row + row) * work.out_stride +
            int64_t{head} * work.head_dim;
#pragma unroll
  for (int i = 0; i < kParts; ++i) {
    const int d = lane + i * kWarp;
    if (d < work.head_dim) out[d] = FromFloat<Kv>(sums[i] / total);
  }
}

template <typename Kv>
void Run(const AttentionWork& work, const StepLayout& layout, const KvPages& pages,
         cudaStream_t stream) {
  const int64_t queries = layout.num_rows * (work.num_heads / work.num_kv_heads);
  Launch(PlainAttentionKernel<Kv>,
         dim3(static_cast<unsigned>(queries), static_cast<unsigned>(work.num_kv_heads)), kWarp, 0,
         stream, work, static_cast<const Kv*>(pages.keys), static_cast<const Kv*>(pages.values));
}

}  // namespace

void PlainAttention(const AttentionWork& work, const StepLayout& layout, const KvPages& pages,
                    cudaStream_t stream) {
  if (pages.dtype == DType::kBFloat16) {
    Run<Bf16>(work, layout, pages, stream);
  } else {
    Run<float>(work, layout, pages, stream);
  }
}

}  // namespace sdar::cuda
