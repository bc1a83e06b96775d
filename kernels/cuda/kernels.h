// SPDX-License-Identifier: Apache-2.0
// The CUDA backend's kernels, one file each, as functions that enqueue them. Shapes and meanings
// are those of the operations (kernels/operations.h); act is bfloat16 or float32. Nothing here
// waits or allocates device memory: what a kernel keeps between its phases is in a workspace that
// the caller gives. Each kernel's bytes and operations are stated next to it, with s = bytes of an
// act value; bench/kernels/kernel_work.h has the least of both that any kernel must move and
// compute.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/summary_specs.h"
#include "kernels/operations.h"

namespace sdar::cuda {

// Rows of made-up weights (common/synthetic_weight.h), `row_stride` elements from one to the next:
// out [rows, cols] act, without gaps. Bytes: s rows * cols.
void FillSynthetic(const SyntheticElements& elements, int64_t row_stride, const TensorView& out,
                   cudaStream_t stream);

// Bytes: out written, one table row read per id: rows * hidden * (s + 4). FLOPs: none.
void Embed(const op::Embed& call, cudaStream_t stream);

// Bytes: residual, delta and out once each (residual's second read hits the cache): rows * hidden *
// (12 + s). FLOPs: 5 rows * hidden.
void AddRmsNorm(const op::AddRmsNorm& call, cudaStream_t stream);

// Bytes: qkv read and written once, k and v of rows that have a slot written to pages: rows *
// head_dim * (8 (heads + 2 kv_heads) + 2 s kv_heads). FLOPs: 7 rows * head_dim * (heads +
// kv_heads).
void QkNormRopeWrite(const op::QkNormRopeWrite& call, cudaStream_t stream);

// Bytes of workspace that BlockAttention needs for a step.
size_t AttentionWorkspaceBytes(const AttentionShape& shape, const StepLayout& layout,
                               int num_multiprocessors);
// Bytes: each segment's committed K/V once per tile of 64 query rows, qkv and out once: tiles *
// context * 2 s kv_heads * head_dim, and rows * head_dim * (4 (heads + 2 kv_heads) + s heads).
// FLOPs: 4 rows * heads * head_dim * (context + rows of the segment).
void BlockAttention(const op::BlockAttention& call, int num_multiprocessors, void* workspace,
                    cudaStream_t stream);

// Bytes: rows * width * (8 + s). FLOPs: 4 rows * width.
void SwiGlu(const op::SwiGlu& call, cudaStream_t stream);

// Bytes: rows * (4 experts + 8 k). FLOPs: rows * experts * (3 + k).
void Route(const op::Route& call, cudaStream_t stream);

// What launches depend on.
struct DeviceTraits {
  int num_multiprocessors = 0;
  bool has_wgmma = false;  // an sm_90 device, and code for sm_90a in this build
};

// The experts of one layer, in device memory.
struct ExpertTable {
  const void* const* gate_up = nullptr;  // [count] each [2 * width, hidden] act
  const void* const* down = nullptr;     // [count] each [hidden, width] act
  int64_t first_expert = 0;
  int64_t count = 0;
  int64_t width = 0;
};
size_t ExpertsWorkspaceBytes(const ExpertTable& experts, DType act, int64_t rows, int64_t hidden,
                             int64_t k);
// Bytes: the weights of each expert that has rows once per tile of them (32, or 128 where experts
// have many: expert_product.h), 3 s hidden * width; x; and the slots' inner and outer rows written
// and read once: rows * k * 2 (s width + 4 hidden). FLOPs: 6 rows * k * hidden * width.
void Experts(const op::Experts& call, const ExpertTable& table, const DeviceTraits& device,
             void* workspace, cudaStream_t stream);

// Bytes: 2 s per value. FLOPs: none.
void GatherRows(const op::GatherRows& call, cudaStream_t stream);
// Bytes: 12 per value of x: it and out read, out written. FLOPs: 1 per value.
void ScatterAddRows(const op::ScatterAddRows& call, cudaStream_t stream);

// summaries: [logits.rows] in device memory. Bytes: logits once (a row's further reads hit the
// cache), and written where a temperature changes them all: 4 rows * ids, or 8. FLOPs: 8 rows *
// ids.
void SummarizeLogits(const SummarySpecs& specs, const TensorView& logits, LogitSummary* summaries,
                     cudaStream_t stream);

}  // namespace sdar::cuda
