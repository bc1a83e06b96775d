// SPDX-License-Identifier: Apache-2.0
// What the attention kernels share: where queries, keys and values lie, and which rows see what.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {

// A step's attention as kernels see it.
struct AttentionWork {
  const AttentionSegment* segments;
  int num_segments;
  const int32_t* page_table;
  const float* qkv;
  int64_t qkv_stride;
  void* out;
  int64_t out_stride;
  int num_heads, num_kv_heads, head_dim;
  int64_t page_size;
  float scale;
  float* partial;  // [splits][rows][heads][head_dim + 2]; null: out is written
  int64_t rows;

  __device__ int group() const { return num_heads / num_kv_heads; }
  __device__ const float* Query(int row, int head) const {
    return qkv + row * qkv_stride + int64_t{head} * head_dim;
  }
  __device__ const float* OwnKey(int row, int kv_head) const {
    return Query(row, num_heads + kv_head);
  }
  __device__ const float* OwnValue(int row, int kv_head) const {
    return Query(row, num_heads + num_kv_heads + kv_head);
  }
  // Where a committed position's K or V of one head begins in the pages.
  __device__ int64_t PageOffset(const AttentionSegment& segment, int kv_head, int position) const {
    const int64_t page = page_table[segment.page_offset + position / page_size];
    return ((page * num_kv_heads + kv_head) * page_size + position % page_size) * head_dim;
  }
  __device__ float* Partial(int split, int row, int head) const {
    return partial + ((split * rows + row) * num_heads + head) * (head_dim + 2);
  }
};

// Some of a segment's queries.
struct Tile {
  AttentionSegment segment;
  int first_query;  // query q is row q / group, head q % group
  bool there;
};

// The `index`-th tile of `queries` over all segments, found by a warp at a time.
__device__ inline Tile FindTile(const AttentionWork& work, int index, int queries) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int begin = 0; begin < work.num_segments; begin += kWarp) {
    const bool valid = begin + lane < work.num_segments;
    const int rows = valid ? work.segments[begin + lane].num_rows : 0;
    const int tiles = (rows * work.group() + queries - 1) / queries;
    int end = tiles;  // of this lane's tiles, counted from the first lane's
    for (unsigned delta = 1; delta < kWarp; delta *= 2) {
      const int below = __shfl_up_sync(kAllLanes, end, delta);
      if (lane >= static_cast<int>(delta)) end += below;
    }
    const int all = __shfl_sync(kAllLanes, end, kWarp - 1);
    if (index >= all) {
      index -= all;
      continue;
    }
    // The lane whose tiles hold the index says which tile of its segment it is.
    int mine = end > index && end - tiles <= index ? lane * 65536 + (index - (end - tiles)) : 0;
    for (int mask = kWarp / 2; mask > 0; mask /= 2) mine += __shfl_xor_sync(kAllLanes, mine, mask);
    return {work.segments[begin + mine / 65536], mine % 65536 * queries, true};
  }
  return {{}, 0, false};
}

// Positions that a row of the segment sees: those before this one.
__device__ inline int VisibleEnd(const AttentionSegment& segment, int row) {
  const int block_end =
      ((segment.first_position + row) / segment.block_length + 1) * segment.block_length;
  const int segment_end = segment.first_position + segment.num_rows;
  return block_end < segment_end ? block_end : segment_end;
}

// Attention without tensor cores, for float32 arithmetic and head sizes that fill no fragment:
// slow, and in float32 throughout. work.partial is not used.
void PlainAttention(const AttentionWork& work, const StepLayout& layout, const KvPages& pages,
                    cudaStream_t stream);

}  // namespace sdar::cuda
