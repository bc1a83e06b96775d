// SPDX-License-Identifier: Apache-2.0
// Attention by the law of sight (docs/design.md, section 4) over paged K/V.
//
// Query rows of one K/V head and segment (rows x heads per K/V head) are taken 64 at a time, 16 by
// each warp, and meet keys 32 at a time with a running maximum (arXiv 1805.02867). Keys and values
// come in by asynchronous copies three tiles ahead; scores and sums are mma.m16n8k16. Probabilities
// go in as two bfloat16 halves each, so that they are not rounded: the kernel reads K/V once for up
// to 64 rows and has the arithmetic to spare (3 x 64 x head_dim multiply-adds per key against
// 4 x head_dim bytes). Where there are few tiles, several blocks share the keys of one, and a
// second kernel joins them.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/attention_work.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/fragments.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kQueries = 16 * kWarps;  // of one block
constexpr int kKeys = 32;              // of one tile
constexpr int kStages = 3;
constexpr int kPadding = 8;  // elements between rows in shared memory: no two of 8 rows share banks
constexpr int kMostSplits = 32;

// Tiles of keys in shared memory: kStages times K, then V.
template <int kHeadDim>
struct Stages {
  static constexpr int kStride = kHeadDim + kPadding;
  static constexpr size_t kBytes = sizeof(Bf16) * 2 * kStages * kKeys * kStride;
  Bf16* base;
  __device__ Bf16* Key(int stage, int key) const {
    return base + (stage * 2 * kKeys + key) * kStride;
  }
  __device__ Bf16* Value(int stage, int key) const {
    return base + ((stage * 2 + 1) * kKeys + key) * kStride;
  }
};

// Eight values of a row of the step, which are bfloat16 already.
__device__ inline void CopyOwn8(const float* from, Bf16* to) {
  for (int i = 0; i < 8; ++i) to[i] = ToBf16(from[i]);
}

// Starts filling a stage with the keys and values of the positions from `begin` on; zeros from
// `end` on.
template <int kHeadDim>
__device__ void LoadKeys(const AttentionWork& work, const AttentionSegment& segment, int kv_head,
                         const Bf16* keys, const Bf16* values, int begin, int end,
                         const Stages<kHeadDim>& stages, int stage) {
  constexpr int kChunks = kHeadDim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kChunks; i += kThreads) {
    const int key = i / kChunks, at = i % kChunks * 8;
    const int position = begin + key;
    Bf16* to_key = stages.Key(stage, key) + at;
    Bf16* to_value = stages.Value(stage, key) + at;
    if (position < end && position >= segment.first_position) {
      const int row = segment.first_row + position - segment.first_position;
      CopyOwn8(work.OwnKey(row, kv_head) + at, to_key);
      CopyOwn8(work.OwnValue(row, kv_head) + at, to_value);
    } else {
      const bool there = position < end;
      const int64_t offset = there ? work.PageOffset(segment, kv_head, position) + at : 0;
      CopyAsync16(to_key, keys + offset, there);
      CopyAsync16(to_value, values + offset, there);
    }
  }
}

// What one lane holds of its warp's 16 queries: rows g and g + 8.
template <int kHeadDim>
struct QueryState {
  FragmentA queries[kHeadDim / 16];
  FragmentD sums[kHeadDim / 8];
  float max[2], total[2];
  int visible_end[2];
};

template <int kHeadDim>
__device__ void LoadQueries(const AttentionWork& work, const Tile& tile, int kv_head,
                            QueryState<kHeadDim>& state) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int group = work.group();
  const float* query[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int q = tile.first_query + warp * 16 + g + 8 * half;
    const int row = q / group;
    const bool there = row < tile.segment.num_rows;
    query[half] =
        there ? work.Query(tile.segment.first_row + row, kv_head * group + q % group) : nullptr;
    state.visible_end[half] = there ? VisibleEnd(tile.segment, row) : 0;
    state.max[half] = __uint_as_float(0xFF800000u);
    state.total[half] = 0;
  }
#pragma unroll
  for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const float* from = query[word % 2];
      const int at = k * 16 + 2 * t + word / 2 * 8;
      const float x = from == nullptr ? 0 : from[at];
      const float y = from == nullptr ? 0 : from[at + 1];
      state.queries[k].words[word] = PackBf16(x, y);  // exact: they are rounded
    }
  }
#pragma unroll
  for (FragmentD& sum : state.sums) sum = {};
}

// Scaled scores of the warp's queries with a stage's keys; -inf where a query does not see a key.
template <int kHeadDim>
__device__ void Scores(const QueryState<kHeadDim>& state, const Stages<kHeadDim>& stages, int stage,
                       int begin, float scale, FragmentD (&scores)[kKeys / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
    scores[n] = {};
    const Bf16* key = stages.Key(stage, n * 8 + g) + 2 * t;
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      const FragmentB b = {{Pair(key + k * 16), Pair(key + k * 16 + 8)}};
      MultiplyAdd(state.queries[k], b, scores[n]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int position = begin + n * 8 + 2 * t + i % 2;
      const bool seen = position < state.visible_end[i / 2];
      scores[n].values[i] = seen ? scores[n].values[i] * scale : __uint_as_float(0xFF800000u);
    }
  }
}

// Turns scores into exp(score - max) with the maximum so far, and corrects the sums for it.
template <int kHeadDim>
__device__ void Exponentiate(QueryState<kHeadDim>& state, FragmentD (&scores)[kKeys / 8]) {
  const float minus_infinity = __uint_as_float(0xFF800000u);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float max = state.max[half];
#pragma unroll
    for (const FragmentD& s : scores) {
      max = fmaxf(max, fmaxf(s.values[2 * half], s.values[2 * half + 1]));
    }
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 1));
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 2));
    // A query that has seen no key yet keeps zeros.
    const float base = max == minus_infinity ? 0 : max;
    const float correction = expf(state.max[half] - base);
    float sum = 0;
#pragma unroll
    for (FragmentD& s : scores) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        s.values[i] = expf(s.values[i] - base);
        sum += s.values[i];
      }
    }
    sum += __shfl_xor_sync(kAllLanes, sum, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    state.total[half] = state.total[half] * correction + sum;
    state.max[half] = max;
#pragma unroll
    for (FragmentD& s : state.sums) {
      s.values[2 * half] *= correction;
      s.values[2 * half + 1] *= correction;
    }
  }
}

template <int kHeadDim>
__device__ void AddValues(QueryState<kHeadDim>& state, const Stages<kHeadDim>& stages, int stage,
                          const FragmentD (&p)[kKeys / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k) {
    FragmentA high, low;
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const float x = p[2 * k + word / 2].values[2 * (word % 2)];
      const float y = p[2 * k + word / 2].values[2 * (word % 2) + 1];
      high.words[word] = PackBf16(x, y);
      low.words[word] = PackBf16(RestOf(x), RestOf(y));
    }
    const Bf16* value = stages.Value(stage, k * 16 + lane % 16);
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      const FragmentB b = LoadTransposed(value + n * 8);
      MultiplyAdd(high, b, state.sums[n]);
      MultiplyAdd(low, b, state.sums[n]);
    }
  }
}

// Writes the warp's rows: the result, or sums, maximum and total for the kernel that joins splits.
template <int kHeadDim>
__device__ void WriteQueries(const AttentionWork& work, const Tile& tile, int kv_head, int split,
                             const QueryState<kHeadDim>& state) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int q = tile.first_query + warp * 16 + g + 8 * half;
    if (q / work.group() >= tile.segment.num_rows) continue;
    const int row = tile.segment.first_row + q / work.group();
    const int head = kv_head * work.group() + q % work.group();
    if (work.partial != nullptr) {
      float* to = work.Partial(split, row, head);
#pragma unroll
      for (int n = 0; n < kHeadDim / 8; ++n) {
        to[n * 8 + 2 * t] = state.sums[n].values[2 * half];
        to[n * 8 + 2 * t + 1] = state.sums[n].values[2 * half + 1];
      }
      if (t == 0) {
        to[kHeadDim] = state.max[half];
        to[kHeadDim + 1] = state.total[half];
      }
      continue;
    }
    Bf16* to = static_cast<Bf16*>(work.out) + row * work.out_stride + int64_t{head} * kHeadDim;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      to[n * 8 + 2 * t] = ToBf16(state.sums[n].values[2 * half] / state.total[half]);
      to[n * 8 + 2 * t + 1] = ToBf16(state.sums[n].values[2 * half + 1] / state.total[half]);
    }
  }
}

// Grid: tiles, K/V heads, splits.
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads)
    BlockAttentionKernel(AttentionWork work, const Bf16* keys, const Bf16* values) {
  const Tile tile = FindTile(work, static_cast<int>(blockIdx.x), kQueries);
  if (!tile.there) return;
  const int kv_head = static_cast<int>(blockIdx.y);
  const int last_query = tile.first_query + kQueries - 1;
  const int last_row = last_query / work.group() < tile.segment.num_rows
                           ? last_query / work.group()
                           : tile.segment.num_rows - 1;
  const int end = VisibleEnd(tile.segment, last_row);
  const int64_t tiles = (end + kKeys - 1) / kKeys;
  const int first = static_cast<int>(tiles * blockIdx.z / gridDim.z);
  const int count = static_cast<int>(tiles * (blockIdx.z + 1) / gridDim.z) - first;

  const Stages<kHeadDim> stages = {reinterpret_cast<Bf16*>(SharedBytes())};
  const auto load = [&](int i) {
    if (i < count) {
      LoadKeys(work, tile.segment, kv_head, keys, values, (first + i) * kKeys, end, stages,
               i % kStages);
    }
    CommitCopies();
  };
  QueryState<kHeadDim> state;
  for (int i = 0; i < kStages - 1; ++i) load(i);
  LoadQueries(work, tile, kv_head, state);
  for (int i = 0; i < count; ++i) {
    WaitCopies<kStages - 2>();
    __syncthreads();
    load(i + kStages - 1);
    FragmentD scores[kKeys / 8];
    Scores(state, stages, i % kStages, (first + i) * kKeys, work.scale, scores);
    Exponentiate(state, scores);
    AddValues(state, stages, i % kStages, scores);
  }
  WriteQueries(work, tile, kv_head, static_cast<int>(blockIdx.z), state);
}

template <typename Out>
__global__ void JoinSplitsKernel(AttentionWork work, int splits) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  float max = __uint_as_float(0xFF800000u);
  for (int s = 0; s < splits; ++s) max = fmaxf(max, work.Partial(s, row, head)[work.head_dim]);
  float total = 0;
  for (int s = 0; s < splits; ++s) {
    const float* from = work.Partial(s, row, head) + work.head_dim;
    total += from[1] * expf(from[0] - max);
  }
  Out* out = static_cast<Out*>(work.out) + row * work.out_stride + int64_t{head} * work.head_dim;
  for (int d = static_cast<int>(threadIdx.x); d < work.head_dim; d += kWarp) {
    float sum = 0;
    for (int s = 0; s < splits; ++s) {
      const float* from = work.Partial(s, row, head);
      sum += from[d] * expf(from[work.head_dim] - max);
    }
    out[d] = FromFloat<Out>(sum / total);
  }
}

bool HasTensorCoreKernel(const AttentionShape& shape, DType dtype) {
  const int64_t d = shape.head_dim;
  return dtype == DType::kBFloat16 && (d == 16 || d == 32 || d == 64 || d == 128);
}

int64_t MostTiles(const AttentionShape& shape, const StepLayout& layout) {
  return layout.num_rows * (shape.num_heads / shape.num_kv_heads) / kQueries + layout.num_segments;
}

// As many blocks per tile as give each multiprocessor two.
int NumSplits(const AttentionShape& shape, const StepLayout& layout, int num_multiprocessors) {
  const int64_t blocks = std::max<int64_t>(MostTiles(shape, layout) * shape.num_kv_heads, 1);
  const int64_t wanted = 2 * num_multiprocessors / blocks;
  return static_cast<int>(std::clamp<int64_t>(wanted, 1, kMostSplits));
}

template <int kHeadDim>
void LaunchTensorCores(const AttentionWork& work, const KvPages& pages, dim3 grid,
                       cudaStream_t stream) {
  Launch(BlockAttentionKernel<kHeadDim>, grid, kThreads, Stages<kHeadDim>::kBytes, stream, work,
         static_cast<const Bf16*>(pages.keys), static_cast<const Bf16*>(pages.values));
}

void RunTensorCores(AttentionWork work, const AttentionShape& shape, const StepLayout& layout,
                    const KvPages& pages, int splits, void* workspace, cudaStream_t stream) {
  work.partial = splits > 1 ? static_cast<float*>(workspace) : nullptr;
  const dim3 grid(static_cast<unsigned>(MostTiles(shape, layout)),
                  static_cast<unsigned>(shape.num_kv_heads), static_cast<unsigned>(splits));
  switch (shape.head_dim) {
    case 16:
      LaunchTensorCores<16>(work, pages, grid, stream);
      break;
    case 32:
      LaunchTensorCores<32>(work, pages, grid, stream);
      break;
    case 64:
      LaunchTensorCores<64>(work, pages, grid, stream);
      break;
    default:
      LaunchTensorCores<128>(work, pages, grid, stream);
  }
  if (splits == 1) return;
  Launch(JoinSplitsKernel<Bf16>,
         dim3(static_cast<unsigned>(layout.num_rows), static_cast<unsigned>(shape.num_heads)),
         kWarp, 0, stream, work, splits);
}

}  // namespace

size_t AttentionWorkspaceBytes(const AttentionShape& shape, const StepLayout& layout,
                               int num_multiprocessors) {
  const int splits = NumSplits(shape, layout, num_multiprocessors);
  if (splits == 1) return 0;
  return static_cast<size_t>(splits * layout.num_rows * shape.num_heads * (shape.head_dim + 2)) *
         sizeof(float);
}

void BlockAttention(const op::BlockAttention& call, int num_multiprocessors, void* workspace,
                    cudaStream_t stream) {
  const AttentionShape& shape = call.shape;
  const StepLayout& layout = call.layout;
  AttentionWork work = {};
  work.segments = layout.segments;
  work.num_segments = static_cast<int>(layout.num_segments);
  work.page_table = layout.page_table;
  work.qkv = call.qkv.Row<float>(0);
  work.qkv_stride = call.qkv.row_stride;
  work.out = call.out.data;
  work.out_stride = call.out.row_stride;
  work.num_heads = static_cast<int>(shape.num_heads);
  work.num_kv_heads = static_cast<int>(shape.num_kv_heads);
  work.head_dim = static_cast<int>(shape.head_dim);
  work.page_size = call.pages.page_size;
  work.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  work.rows = layout.num_rows;
  if (HasTensorCoreKernel(shape, call.pages.dtype)) {
    RunTensorCores(work, shape, layout, call.pages, NumSplits(shape, layout, num_multiprocessors),
                   workspace, stream);
  } else {
    PlainAttention(work, layout, call.pages, stream);
  }
}

}  // namespace sdar::cuda
