// SPDX-License-Identifier: Apache-2.0
// What a backend computes: every operation with its operands, declared once.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "absl/types/span.h"

#include "common/logit_summary.h"
#include "common/tensor_view.h"
#include "kernels/logit_specs.h"
#include "kernels/weights.h"

namespace sdar {

// K/V memory of one layer: two arrays [num_pages, num_kv_heads, page_size, head_dim].
struct KvPages {
  void* keys = nullptr;
  void* values = nullptr;
  DType dtype = DType::kBFloat16;
  int64_t num_kv_heads = 0;
  int64_t page_size = 0;
  int64_t head_dim = 0;
};

// Consecutive positions of one sequence in one step. Its rows see the sequence's committed K/V
// before first_position and the rows of their own segment under the block-causal mask; nothing else
// (docs/design.md, section 4).
struct AttentionSegment {
  int32_t first_row = 0;  // of the step's rows
  int32_t num_rows = 0;
  int32_t first_position = 0;  // a multiple of block_length
  int32_t block_length = 0;
  int32_t page_offset = 0;  // where the sequence's pages start in StepLayout::page_table
};

// Where a step's rows lie, in device memory.
struct StepLayout {
  int64_t num_rows = 0;
  const int32_t* positions = nullptr;  // [num_rows] absolute
  const int64_t* kv_slots =
      nullptr;  // [num_rows] page * page_size + offset to write K/V to, or -1 for none
  const AttentionSegment* segments = nullptr;
  int64_t num_segments = 0;
  const int32_t* page_table =
      nullptr;  // the sequences' pages in order, one sequence after the other
};

// Head counts and norms of one layer's attention on this rank.
struct AttentionShape {
  int64_t num_heads = 0;  // a multiple of num_kv_heads
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;  // even
  float rms_norm_eps = 0;
};

// How a position rotates a head: pair i by the angle position * frequencies[i], which is rounded to
// float32. Cosines and sines are multiplied by `scale`.
struct RopeAngles {
  const float* frequencies = nullptr;  // [head_dim / 2], device memory
  float scale = 1;
};

// The operations. Views and pointers are into device memory, but where host memory is named.
// Weights are referred to and must outlive what was enqueued; all else is small and copied. `act`
// is the arithmetic dtype (bfloat16 or float32), the dtype of matmul inputs; sums are float32.
namespace op {

// out[i] = table[ids[i] - first_id], zeros where the id lies outside.
struct Embed {
  TensorView table;  // [ids of this shard, hidden] act
  int64_t first_id;
  const int32_t* ids;  // [rows]
  TensorView out;      // [rows, hidden] float32
};

// residual += delta (where given); out = residual / sqrt(mean(residual^2) + eps) * weight.
struct AddRmsNorm {
  std::optional<TensorView> delta;  // [rows, hidden] float32
  TensorView weight;                // [1, hidden] float32
  float eps;
  TensorView residual;  // [rows, hidden] float32
  TensorView out;       // [rows, hidden] act
};

// out = x * weight^T. Each element is summed in an order that does not depend on the number of
// rows.
struct MatMul {
  const PackedWeight& weight;
  TensorView x;    // [rows, weight.cols] act
  TensorView out;  // [rows, weight.rows] float32
};

// Normalises q and k over head_dim, rotates them (half-split RoPE), rounds q, k and v to the act
// dtype, which is that of the pages, and writes k and v into their pages where kv_slots says so.
struct QkNormRopeWrite {
  AttentionShape shape;
  RopeAngles rope;
  StepLayout layout;
  TensorView q_norm;  // [1, head_dim] float32
  TensorView k_norm;  // [1, head_dim] float32
  KvPages pages;
  TensorView qkv;  // [rows, (heads + 2 kv_heads) * head_dim] float32, in place
};

// Attention of every segment by the law of sight, scaled by 1 / sqrt(head_dim). Keys are summed in
// an order that their positions alone decide, wherever they lie; the weights of values may be
// rounded to the act dtype.
struct BlockAttention {
  AttentionShape shape;
  StepLayout layout;
  KvPages pages;
  TensorView qkv;  // as QkNormRopeWrite leaves it
  TensorView out;  // [rows, heads * head_dim] act
};

// out = silu(gate) * up.
struct SwiGlu {
  TensorView gate_up;  // [rows, 2 * width] float32, gate first
  TensorView out;      // [rows, width] act
};

// The top-k experts of softmax(logits), ties to the lower id, weights renormalised to sum 1 if
// asked.
struct Route {
  TensorView logits;  // [rows, experts] float32
  int64_t k;
  bool renormalize;
  int32_t* ids;    // [rows, k] by falling weight
  float* weights;  // [rows, k] by falling weight
};

// out[i] = sum over row i's slots, in slot order, of weight * SwiGLU expert, for the experts that
// live here.
struct Experts {
  const ExpertWeights& experts;
  TensorView x;  // [rows, hidden] act
  int64_t k;
  const int32_t* ids;    // [rows, k] as Route gives them
  const float* weights;  // [rows, k] as Route gives them
  TensorView out;        // [rows, hidden] float32
};

// out = 0.
struct Clear {
  TensorView out;  // of any dtype
};

// out[i] = x[rows[i]].
struct GatherRows {
  TensorView x;
  const int32_t* rows;  // [out.rows]
  TensorView out;       // of x's dtype
};

// out[rows[i]] += x[i], in the order of i.
struct ScatterAddRows {
  TensorView x;         // float32
  const int32_t* rows;  // [x.rows]
  TensorView out;       // float32
};

// Turns logits into z in place (penalties, bias, temperature; forbidden ids become -inf after the
// sums over all ids) and summarises each row. Waits for the device.
struct SummarizeLogits {
  LogitSpecs specs;
  TensorView logits;             // [rows, ids of this shard] float32
  absl::Span<LogitSummary> out;  // one per row, in host memory
};

}  // namespace op

using Operation = std::variant<op::Embed, op::AddRmsNorm, op::MatMul, op::QkNormRopeWrite,
                               op::BlockAttention, op::SwiGlu, op::Route, op::Experts, op::Clear,
                               op::GatherRows, op::ScatterAddRows, op::SummarizeLogits>;

}  // namespace sdar
