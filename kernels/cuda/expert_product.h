// SPDX-License-Identifier: Apache-2.0
// One matrix product for all experts of a layer at once, over slots sorted by expert.
//
// A fixed number of blocks walks the list of tiles (an expert, some of its slots, 64 rows of its
// weight) that the counts on the device make, so the host never learns how rows were routed. The
// weight is the left operand, so that few slots waste nothing but arithmetic. With a gate, 16 rows
// of a warp are 8 of gate and the 8 of up that belong to them: SwiGLU happens in registers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/dtype.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/fragments.h"

namespace sdar::cuda {

constexpr int kProductWarps = 4;
constexpr int kProductThreads = kProductWarps * kWarp;
constexpr int kWeightRows = 16 * kProductWarps;  // of a tile
constexpr int kProductDepth = 64;                // columns of one stage
constexpr int kProductStages = 3;

// One product for all experts: y[slot] = weight of its expert * x[row of the slot].
struct ExpertProduct {
  const void* const* weights;  // [experts] each [weight rows, depth]
  const int32_t* first_slot;   // [experts + 1] slots before each expert's
  const int32_t* first_tile;   // [experts + 1] tiles of slots before each expert's
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

// Tile `index` of those that have `tokens` slots and `outputs_per_tile` outputs at most.
__device__ inline ProductTile TileAt(const ExpertProduct& p, int index, int output_tiles,
                                     int outputs_per_tile, int tokens) {
  const int token_tile = index / output_tiles;
  int low = 0, high = p.num_experts;  // first_tile[low] <= token_tile < first_tile[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (p.first_tile[middle] <= token_tile ? low : high) = middle;
  }
  const int first = p.first_slot[low] + (token_tile - p.first_tile[low]) * tokens;
  const int left = p.first_slot[low + 1] - first;
  return {low, index % output_tiles * outputs_per_tile, first, left < tokens ? left : tokens};
}

// The row of the weight that is row `r` of a tile: with a gate, 8 gate rows and their 8 up rows in
// turn. -1 beyond the last.
template <bool kGated>
__device__ inline int WeightRow(const ExpertProduct& p, const ProductTile& tile, int r) {
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

// Starts filling a stage of `tiles`: 64 rows of the weight, then the slots' rows of x.
template <bool kGated, typename Tiles>
__device__ void LoadStage(const ExpertProduct& p, const ProductTile& tile, bool aligned, int step,
                          const Tiles& tiles) {
  constexpr int kChunks = kProductDepth / 8;
  const auto* weight = static_cast<const Bf16*>(p.weights[tile.expert]);
  for (int i = static_cast<int>(threadIdx.x); i < (kWeightRows + Tiles::kTokens) * kChunks;
       i += kProductThreads) {
    const int r = i / kChunks, chunk = i % kChunks;
    const Bf16* row = nullptr;
    if (r < kWeightRows) {
      const int weight_row = WeightRow<kGated>(p, tile, r);
      if (weight_row >= 0) row = weight + int64_t{weight_row} * p.depth;
    } else if (r - kWeightRows < tile.num_slots) {
      const int slot = tile.first_slot + r - kWeightRows;
      const int x_row = p.rows == nullptr ? slot : p.rows[slot];
      row = static_cast<const Bf16*>(p.x) + x_row * p.x_stride;
    }
    Copy8(row, step * kProductDepth + chunk * 8, p.depth, aligned,
          tiles.Chunk(step % kProductStages, r, chunk));
  }
}

template <bool kGated, int kBlocks>
__device__ void WriteTile(const ExpertProduct& p, const ProductTile& tile,
                          const FragmentD (&sums)[kBlocks]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
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

// Tiles: how many slots a tile has, how its stages lie in shared memory, and what multiplies them.
template <bool kGated, typename Tiles>
__global__ void __launch_bounds__(kProductThreads)
    ExpertProductKernel(ExpertProduct p, bool aligned) {
  constexpr int kOutputs = kGated ? kWeightRows / 2 : kWeightRows;
  const Tiles tiles = {reinterpret_cast<Bf16*>(SharedBytes())};
  const int output_tiles = (p.outputs + kOutputs - 1) / kOutputs;
  const int num_tiles = p.first_tile[p.num_experts] * output_tiles;
  const int steps = (p.depth + kProductDepth - 1) / kProductDepth;
  for (int index = static_cast<int>(blockIdx.x); index < num_tiles;
       index += static_cast<int>(gridDim.x)) {
    const ProductTile tile = TileAt(p, index, output_tiles, kOutputs, Tiles::kTokens);
    const auto load = [&](int step) {
      if (step < steps) LoadStage<kGated>(p, tile, aligned, step, tiles);
      CommitCopies();
    };
    FragmentD sums[Tiles::kTokens / 8] = {};
    for (int step = 0; step < kProductStages - 1; ++step) load(step);
    for (int step = 0; step < steps; ++step) {
      WaitCopies<kProductStages - 2>();
      Tiles::ShowCopies();
      __syncthreads();
      load(step + kProductStages - 1);
      tiles.Multiply(tile, step % kProductStages, sums);
    }
    WriteTile<kGated>(p, tile, sums);
    __syncthreads();  // the next tile's first stages may still be read from
  }
}

// slots: of all experts together, at most.
template <typename Tiles>
void RunProduct(const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                int blocks_per_multiprocessor, cudaStream_t stream) {
  const bool aligned = p.depth % 8 == 0 && p.x_stride % 8 == 0;
  const int64_t outputs_per_tile = gated ? kWeightRows / 2 : kWeightRows;
  const int64_t most_tiles = (slots / Tiles::kTokens + std::min<int64_t>(slots, p.num_experts)) *
                             ((p.outputs + outputs_per_tile - 1) / outputs_per_tile);
  const int64_t blocks =
      std::min<int64_t>(most_tiles, int64_t{blocks_per_multiprocessor} * num_multiprocessors);
  Launch(gated ? ExpertProductKernel<true, Tiles> : ExpertProductKernel<false, Tiles>,
         dim3(static_cast<unsigned>(blocks)), kProductThreads, Tiles::kSharedBytes, stream, p,
         aligned);
}

// Tiles of 32 slots by mma.sync: bound by reading the weights where experts have few slots.
constexpr int kMmaTokens = 32;
void RunMmaProduct(const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                   cudaStream_t stream);
// Tiles of 128 slots by wgmma, for experts with many. Requires: DeviceTraits::has_wgmma.
constexpr int kWgmmaTokens = 128;
void RunWgmmaProduct(const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                     cudaStream_t stream);
// Dot by dot, in float32, for float32 arithmetic. p.first_tile is not used.
void RunPlainProduct(const ExpertProduct& p, bool gated, int64_t slots, cudaStream_t stream);

}  // namespace sdar::cuda
