// SPDX-License-Identifier: Apache-2.0
// The CUDA backend's kernels, one file each, as functions that enqueue them. Shapes and meanings
// are those of Backend (kernels/backend.h); act is bfloat16 or float32. Nothing here waits or
// allocates device memory: what a kernel keeps between its phases is in a workspace that the caller
// gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/summary_specs.h"

namespace sdar::cuda {

// Rows of made-up weights (common/synthetic_weight.h), `row_stride` elements from one to the next:
// out [rows, cols] act, without gaps. Bytes: out written.
void FillSynthetic(const SyntheticElements& elements, int64_t row_stride, const TensorView& out,
                   cudaStream_t stream);

// Bytes: out written, one table row read per id.
void Embed(const TensorView& table, int64_t first_id, const int32_t* ids, const TensorView& out,
           cudaStream_t stream);

// Bytes: residual, delta and out once each (residual's second read hits the cache).
void AddRmsNorm(const TensorView* delta, const TensorView& weight, float eps,
                const TensorView& residual, const TensorView& out, cudaStream_t stream);

// Bytes: qkv read and written once, k and v of rows that have a slot written to pages.
void QkNormRopeWrite(const AttentionShape& shape, const StepLayout& layout,
                     const TensorView& q_norm, const TensorView& k_norm, const KvPages& pages,
                     const TensorView& qkv, cudaStream_t stream);

// Bytes of workspace that BlockAttention needs for a step.
size_t AttentionWorkspaceBytes(const AttentionShape& shape, const StepLayout& layout,
                               int num_multiprocessors);
// Bytes: each segment's committed K/V once per tile of 64 query rows, qkv and out once.
void BlockAttention(const AttentionShape& shape, const StepLayout& layout, const KvPages& pages,
                    const TensorView& qkv, const TensorView& out, int num_multiprocessors,
                    void* workspace, cudaStream_t stream);

void SwiGlu(const TensorView& gate_up, const TensorView& out, cudaStream_t stream);

void Route(const TensorView& logits, int64_t k, bool renormalize, int32_t* ids, float* weights,
           cudaStream_t stream);

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
// Bytes: the weights of each expert that has rows once per 64 of them, x, and the slots' inner and
// outer rows written and read once.
void Experts(const ExpertTable& experts, const TensorView& x, int64_t k, const int32_t* ids,
             const float* weights, const TensorView& out, const DeviceTraits& device,
             void* workspace, cudaStream_t stream);

void GatherRows(const TensorView& x, const int32_t* rows, const TensorView& out,
                cudaStream_t stream);
void ScatterAddRows(const TensorView& x, const int32_t* rows, const TensorView& out,
                    cudaStream_t stream);

// summaries: [logits.rows] in device memory.
void SummarizeLogits(const SummarySpecs& specs, const TensorView& logits, LogitSummary* summaries,
                     cudaStream_t stream);

}  // namespace sdar::cuda
