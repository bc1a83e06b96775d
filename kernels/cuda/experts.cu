// SPDX-License-Identifier: Apache-2.0
// The experts of a layer over the rows that were routed to them.
//
// One block sorts the slots (row, choice) by expert and counts tiles; then a fixed number of blocks
// walks the list of (expert, 32 slots, 64 weight rows) that those counts make, so the host never
// learns how rows were routed. Weights are the left operand of mma.m16n8k16, 16 rows of a warp, so
// that few tokens waste nothing but arithmetic: with few rows per expert the kernel reads weights,
// with many it is bound by mma.sync. A warp's 16 rows of the first product are 8 of gate and the 8
// of up that belong to them, so that SwiGLU happens in registers. The last kernel adds a row's
// slots in slot order.
#include <algorithm>
#include <utility>

#include "kernels/cuda/device.h"
#include "kernels/cuda/fragments.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kWeightRows = 16 * kWarps;  // of a tile
constexpr int kTokens = 32;               // of a tile
constexpr int kDepth = 64;                // columns of one stage
constexpr int kStages = 3;
constexpr int kStride =
    kDepth + 8;  // elements between rows in shared memory: no two of 8 share banks
constexpr size_t kSharedBytes = sizeof(Bf16) * kStages * (kWeightRows + kTokens) * kStride;
constexpr int kGroupThreads = 1024;
constexpr int kBlocksPerMultiprocessor = 4;

// Where the phases leave what the next ones need.
struct Workspace {
  int32_t* first_slot;  // [experts + 1] sorted slots before each expert's
  int32_t* first_tile;  // [experts + 1] tiles of kTokens before each expert's
  int32_t* position;    // [rows * k] of a slot among the sorted ones; -1: its expert is elsewhere
  int32_t* sorted_row;  // [rows * k] the row of a sorted slot
  void* inner;          // [rows * k, width] act
  float* result;        // [rows * k, hidden]
};

constexpr size_t AlignUp(size_t bytes) { return (bytes + 255) / 256 * 256; }

struct Sizes {
  size_t per_expert, per_slot, inner, result;
  Sizes(const ExpertTable& experts, DType act, int64_t slots, int64_t hidden)
      : per_expert(AlignUp(static_cast<size_t>(experts.count + 1) * sizeof(int32_t))),
        per_slot(AlignUp(static_cast<size_t>(slots) * sizeof(int32_t))),
        inner(AlignUp(static_cast<size_t>(slots * experts.width) * SizeOf(act))),
        result(AlignUp(static_cast<size_t>(slots * hidden) * sizeof(float))) {}
  size_t all() const { return 2 * per_expert + 2 * per_slot + inner + result; }
};

Workspace Divide(void* memory, const Sizes& sizes) {
  char* at = static_cast<char*>(memory);
  const auto take = [&at](size_t bytes) { return std::exchange(at, at + bytes); };
  Workspace w;
  w.first_slot = reinterpret_cast<int32_t*>(take(sizes.per_expert));
  w.first_tile = reinterpret_cast<int32_t*>(take(sizes.per_expert));
  w.position = reinterpret_cast<int32_t*>(take(sizes.per_slot));
  w.sorted_row = reinterpret_cast<int32_t*>(take(sizes.per_slot));
  w.inner = take(sizes.inner);
  w.result = reinterpret_cast<float*>(take(sizes.result));
  return w;
}

// Sorts slots by expert. The order within an expert is left to chance: no result depends on it.
__global__ void GroupSlotsKernel(const int32_t* ids, int slots, int k, int first_expert,
                                 int num_experts, Workspace w) {
  int* next = reinterpret_cast<int*>(SharedBytes());  // [experts]
  const int thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < num_experts; e += kGroupThreads) next[e] = 0;
  __syncthreads();
  for (int s = thread; s < slots; s += kGroupThreads) {
    const int e = ids[s] - first_expert;
    if (e >= 0 && e < num_experts) atomicAdd(&next[e], 1);
  }
  __syncthreads();
  if (thread == 0) {
    int slot = 0, tile = 0;
    for (int e = 0; e < num_experts; ++e) {
      w.first_slot[e] = slot;
      w.first_tile[e] = tile;
      tile += (next[e] + kTokens - 1) / kTokens;
      slot += std::exchange(next[e], slot);
    }
    w.first_slot[num_experts] = slot;
    w.first_tile[num_experts] = tile;
  }
  __syncthreads();
  for (int s = thread; s < slots; s += kGroupThreads) {
    const int e = ids[s] - first_expert;
    const bool here = e >= 0 && e < num_experts;
    const int at = here ? atomicAdd(&next[e], 1) : -1;
    w.position[s] = at;
    if (here) w.sorted_row[at] = s / k;
  }
}

// One product for all experts: y[slot] = weight of its expert * x[row of the slot].
struct Product {
  const void* const* weights;  // [experts] each [weight rows, depth]
  const int32_t* first_slot;
  const int32_t* first_tile;
  int num_experts;
  const int32_t* rows;  // [slots] of x; null: the slot itself
  const void* x;
  int64_t x_stride;
  int depth;
  int outputs;  // columns of y; of a gated product the weight has as many gate and up rows
  void* y;
  int64_t y_stride;
};

struct ProductTile {
  int expert;
  int first_output;
  int first_slot, num_slots;
};

__device__ ProductTile TileAt(const Product& p, int index, int output_tiles, int outputs_per_tile) {
  const int token_tile = index / output_tiles;
  int low = 0, high = p.num_experts;  // first_tile[low] <= token_tile < first_tile[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (p.first_tile[middle] <= token_tile ? low : high) = middle;
  }
  const int first = p.first_slot[low] + (token_tile - p.first_tile[low]) * kTokens;
  const int left = p.first_slot[low + 1] - first;
  return {low, index % output_tiles * outputs_per_tile, first, left < kTokens ? left : kTokens};
}

// The row of the weight that is row `r` of a tile: with a gate, 8 gate rows and their 8 up rows in
// turn. -1 beyond the last.
template <bool kGated>
__device__ inline int WeightRow(const Product& p, const ProductTile& tile, int r) {
  if (!kGated) return tile.first_output + r < p.outputs ? tile.first_output + r : -1;
  const int output = tile.first_output + r / 16 * 8 + r % 8;
  if (output >= p.outputs) return -1;
  return r % 16 < 8 ? output : p.outputs + output;
}

// Copies 8 elements of a row of `depth` from column `at` on; zeros where there are none, or no row.
__device__ inline void Copy8(const Bf16* row, int at, int depth, bool aligned, Bf16* to) {
  if (row == nullptr) {
    for (int i = 0; i < 8; ++i) to[i] = Bf16{0};
    return;
  }
  if (aligned) {
    CopyAsync16(to, at < depth ? row + at : row, at < depth);
    return;
  }
  for (int i = 0; i < 8; ++i) to[i] = at + i < depth ? row[at + i] : Bf16{0};
}

struct Shared {
  Bf16* base;
  __device__ Bf16* Weight(int stage, int row) const {
    return base + (stage * (kWeightRows + kTokens) + row) * kStride;
  }
  __device__ Bf16* Token(int stage, int token) const { return Weight(stage, kWeightRows + token); }
};

template <bool kGated>
__device__ void LoadStage(const Product& p, const ProductTile& tile, bool aligned, int step,
                          const Shared& shared) {
  constexpr int kChunks = kDepth / 8;
  const int stage = step % kStages;
  const auto* weight = static_cast<const Bf16*>(p.weights[tile.expert]);
  for (int i = static_cast<int>(threadIdx.x); i < (kWeightRows + kTokens) * kChunks;
       i += kThreads) {
    const int r = i / kChunks, at = i % kChunks * 8;
    const Bf16* row = nullptr;
    if (r < kWeightRows) {
      const int weight_row = WeightRow<kGated>(p, tile, r);
      if (weight_row >= 0) row = weight + int64_t{weight_row} * p.depth;
    } else if (r - kWeightRows < tile.num_slots) {
      const int slot = tile.first_slot + r - kWeightRows;
      const int x_row = p.rows == nullptr ? slot : p.rows[slot];
      row = static_cast<const Bf16*>(p.x) + x_row * p.x_stride;
    }
    Copy8(row, step * kDepth + at, p.depth, aligned, shared.Weight(stage, r) + at);
  }
}

__device__ void MultiplyStage(const ProductTile& tile, int stage, const Shared& shared,
                              FragmentD (&sums)[kTokens / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const Bf16* upper = shared.Weight(stage, warp * 16 + g) + 2 * t;
  const Bf16* lower = shared.Weight(stage, warp * 16 + g + 8) + 2 * t;
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    const FragmentA a = {
        {Pair(upper + k), Pair(lower + k), Pair(upper + k + 8), Pair(lower + k + 8)}};
#pragma unroll
    for (int n = 0; n < kTokens / 8; ++n) {
      if (n * 8 >= tile.num_slots) continue;
      const Bf16* token = shared.Token(stage, n * 8 + g) + 2 * t + k;
      MultiplyAdd(a, {{Pair(token), Pair(token + 8)}}, sums[n]);
    }
  }
}

template <bool kGated>
__device__ void WriteTile(const Product& p, const ProductTile& tile,
                          const FragmentD (&sums)[kTokens / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = n * 8 + 2 * t + i;
      if (token >= tile.num_slots) continue;
      const int64_t row = (tile.first_slot + token) * p.y_stride;
      const float above = sums[n].values[i], below = sums[n].values[2 + i];
      if (kGated) {
        const int output = tile.first_output + warp * 8 + g;
        if (output >= p.outputs) continue;
        static_cast<Bf16*>(p.y)[row + output] = ToBf16(above / (1.0f + expf(-above)) * below);
      } else {
        const int output = tile.first_output + warp * 16 + g;
        float* y = static_cast<float*>(p.y) + row;
        if (output < p.outputs) y[output] = above;
        if (output + 8 < p.outputs) y[output + 8] = below;
      }
    }
  }
}

template <bool kGated>
__global__ void __launch_bounds__(kThreads) ExpertProductKernel(Product p, bool aligned) {
  constexpr int kOutputs = kGated ? kWeightRows / 2 : kWeightRows;
  const Shared shared = {reinterpret_cast<Bf16*>(SharedBytes())};
  const int output_tiles = (p.outputs + kOutputs - 1) / kOutputs;
  const int num_tiles = p.first_tile[p.num_experts] * output_tiles;
  const int steps = (p.depth + kDepth - 1) / kDepth;
  for (int index = static_cast<int>(blockIdx.x); index < num_tiles;
       index += static_cast<int>(gridDim.x)) {
    const ProductTile tile = TileAt(p, index, output_tiles, kOutputs);
    const auto load = [&](int step) {
      if (step < steps) LoadStage<kGated>(p, tile, aligned, step, shared);
      CommitCopies();
    };
    FragmentD sums[kTokens / 8] = {};
    for (int step = 0; step < kStages - 1; ++step) load(step);
    for (int step = 0; step < steps; ++step) {
      WaitCopies<kStages - 2>();
      __syncthreads();
      load(step + kStages - 1);
      MultiplyStage(tile, step % kStages, shared, sums);
    }
    WriteTile<kGated>(p, tile, sums);
    __syncthreads();  // the next tile's first stages may still be read from
  }
}

// In float32, one warp per slot and output: for float32 arithmetic only. Grid: outputs, slots.
template <bool kGated>
__global__ void PlainProductKernel(Product p) {
  const int slot = static_cast<int>(blockIdx.y);
  if (slot >= p.first_slot[p.num_experts]) return;
  int expert = 0;
  while (p.first_slot[expert + 1] <= slot) ++expert;
  const auto* weight = static_cast<const float*>(p.weights[expert]);
  const auto* x =
      static_cast<const float*>(p.x) + (p.rows == nullptr ? slot : p.rows[slot]) * p.x_stride;
  const int output = static_cast<int>(blockIdx.x);
  float sum = 0, up = 0;
  for (int i = static_cast<int>(threadIdx.x); i < p.depth; i += kWarp) {
    sum += weight[int64_t{output} * p.depth + i] * x[i];
    if (kGated) up += weight[int64_t{p.outputs + output} * p.depth + i] * x[i];
  }
  sum = WarpSum(sum);
  if (kGated) sum = sum / (1.0f + expf(-sum)) * WarpSum(up);
  if (threadIdx.x == 0) static_cast<float*>(p.y)[slot * p.y_stride + output] = sum;
}

// out[row] = the sum over its slots that are here of weight * result.
__global__ void CombineSlotsKernel(const int32_t* position, const float* weights, int k,
                                   const float* result, int64_t hidden, float* out,
                                   int64_t out_stride) {
  const int64_t row = blockIdx.x;
  for (int64_t c = threadIdx.x; c < hidden; c += kThreads) {
    float sum = 0;
    for (int64_t s = row * k; s < (row + 1) * k; ++s) {
      if (position[s] >= 0) sum += weights[s] * result[position[s] * hidden + c];
    }
    out[row * out_stride + c] = sum;
  }
}

template <bool kGated>
void RunProduct(const Product& p, DType act, int64_t slots, int num_multiprocessors,
                cudaStream_t stream) {
  if (act == DType::kFloat32) {
    Launch(PlainProductKernel<kGated>,
           dim3(static_cast<unsigned>(p.outputs), static_cast<unsigned>(slots)), kWarp, 0, stream,
           p);
    return;
  }
  const bool aligned = p.depth % 8 == 0 && p.x_stride % 8 == 0;
  const int64_t outputs_per_tile = kGated ? kWeightRows / 2 : kWeightRows;
  const int64_t most_tiles = (slots / kTokens + std::min<int64_t>(slots, p.num_experts)) *
                             ((p.outputs + outputs_per_tile - 1) / outputs_per_tile);
  const int64_t blocks =
      std::min<int64_t>(most_tiles, int64_t{kBlocksPerMultiprocessor} * num_multiprocessors);
  Launch(ExpertProductKernel<kGated>, dim3(static_cast<unsigned>(blocks)), kThreads, kSharedBytes,
         stream, p, aligned);
}

}  // namespace

size_t ExpertsWorkspaceBytes(const ExpertTable& experts, DType act, int64_t rows, int64_t hidden,
                             int64_t k) {
  return Sizes(experts, act, rows * k, hidden).all();
}

void Experts(const ExpertTable& experts, const TensorView& x, int64_t k, const int32_t* ids,
             const float* weights, const TensorView& out, int num_multiprocessors, void* workspace,
             cudaStream_t stream) {
  const int64_t slots = x.rows * k;
  if (slots == 0) return;
  const Workspace w = Divide(workspace, Sizes(experts, x.dtype, slots, x.cols));
  const auto count = static_cast<int>(experts.count);
  Launch(GroupSlotsKernel, dim3(1), kGroupThreads, static_cast<size_t>(count) * sizeof(int), stream,
         ids, static_cast<int>(slots), static_cast<int>(k), static_cast<int>(experts.first_expert),
         count, w);
  if (count > 0) {
    const auto hidden = static_cast<int>(x.cols), width = static_cast<int>(experts.width);
    RunProduct<true>({experts.gate_up, w.first_slot, w.first_tile, count, w.sorted_row, x.data,
                      x.row_stride, hidden, width, w.inner, width},
                     x.dtype, slots, num_multiprocessors, stream);
    RunProduct<false>({experts.down, w.first_slot, w.first_tile, count, nullptr, w.inner, width,
                       width, hidden, w.result, hidden},
                      x.dtype, slots, num_multiprocessors, stream);
  }
  Launch(CombineSlotsKernel, dim3(static_cast<unsigned>(x.rows)), kThreads, 0, stream, w.position,
         weights, static_cast<int>(k), w.result, x.cols, out.Row<float>(0), out.row_stride);
}

}  // namespace sdar::cuda
