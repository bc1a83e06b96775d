// SPDX-License-Identifier: Apache-2.0
// The experts of a layer over the rows that were routed to them: slots are sorted by expert, two
// products (expert_product.h) run over them, and a row's slots are added in slot order.
#include <algorithm>
#include <utility>

#include "kernels/cuda/device.h"
#include "kernels/cuda/expert_product.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kGroupThreads = 1024;
constexpr int64_t kManySlots = 64;  // of an expert, on the average: wgmma from here on

// Where the phases leave what the next ones need.
struct Workspace {
  int32_t* first_slot;  // [experts + 1] sorted slots before each expert's
  int32_t* first_tile;  // [experts + 1] tiles before each expert's
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
                                 int num_experts, int slots_per_tile, Workspace w) {
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
      tile += (next[e] + slots_per_tile - 1) / slots_per_tile;
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

// How a layer's products are multiplied.
enum class Way { kPlain, kMma, kWgmma };

Way ChooseWay(DType act, int64_t slots, int64_t num_experts, bool has_wgmma) {
  if (act == DType::kFloat32) return Way::kPlain;
  return has_wgmma && slots >= kManySlots * num_experts ? Way::kWgmma : Way::kMma;
}

void RunProduct(Way way, const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                cudaStream_t stream) {
  switch (way) {
    case Way::kPlain:
      return RunPlainProduct(p, gated, slots, stream);
    case Way::kMma:
      return RunMmaProduct(p, gated, slots, num_multiprocessors, stream);
    case Way::kWgmma:
      return RunWgmmaProduct(p, gated, slots, num_multiprocessors, stream);
  }
}

}  // namespace

size_t ExpertsWorkspaceBytes(const ExpertTable& experts, DType act, int64_t rows, int64_t hidden,
                             int64_t k) {
  return Sizes(experts, act, rows * k, hidden).all();
}

void Experts(const op::Experts& call, const ExpertTable& table, const DeviceTraits& device,
             void* workspace, cudaStream_t stream) {
  const TensorView& x = call.x;
  const int64_t slots = x.rows * call.k;
  if (slots == 0) return;
  const Workspace w = Divide(workspace, Sizes(table, x.dtype, slots, x.cols));
  const auto count = static_cast<int>(table.count);
  const Way way = ChooseWay(x.dtype, slots, table.count, device.has_wgmma);
  Launch(GroupSlotsKernel, dim3(1), kGroupThreads, static_cast<size_t>(count) * sizeof(int), stream,
         call.ids, static_cast<int>(slots), static_cast<int>(call.k),
         static_cast<int>(table.first_expert), count,
         way == Way::kWgmma ? kWgmmaTokens : kMmaTokens, w);
  if (count > 0) {
    const auto hidden = static_cast<int>(x.cols), width = static_cast<int>(table.width);
    RunProduct(way,
               {table.gate_up, w.first_slot, w.first_tile, count, w.sorted_row, x.data,
                x.row_stride, hidden, width, w.inner, width},
               true, slots, device.num_multiprocessors, stream);
    RunProduct(way,
               {table.down, w.first_slot, w.first_tile, count, nullptr, w.inner, width, width,
                hidden, w.result, hidden},
               false, slots, device.num_multiprocessors, stream);
  }
  Launch(CombineSlotsKernel, dim3(static_cast<unsigned>(x.rows)), kThreads, 0, stream, w.position,
         call.weights, static_cast<int>(call.k), w.result, x.cols, call.out.Row<float>(0),
         call.out.row_stride);
}

}  // namespace sdar::cuda
