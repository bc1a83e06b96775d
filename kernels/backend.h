// SPDX-License-Identifier: Apache-2.0
// The seam between the model and a device: memory, and a dozen operation-sized calls. Knows no
// rank, request or model.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/logit_summary.h"
#include "common/tensor_view.h"
#include "kernels/logit_specs.h"
#include "kernels/weight_format.h"
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
  float rope_theta = 0;
  float rms_norm_eps = 0;
};

// One device's arithmetic. Calls enqueue in order (the CPU runs them at once); what goes wrong
// surfaces at Synchronize. Requires: one calling thread; shapes that agree (checked, a bug
// otherwise). `act` below is the arithmetic dtype (bfloat16 or float32), the dtype of matmul
// inputs; sums are float32.
class Backend {
 public:
  virtual ~Backend() = default;

  // For logs: "cpu avx512_bf16, 2 threads".
  virtual std::string Description() const = 0;
  virtual DType act_dtype() const = 0;

  // Makes the calling thread the one that makes all further calls: pins it to its core, selects its
  // device.
  virtual void BindThread() = 0;

  // ResourceExhausted when the device has no room.
  virtual absl::StatusOr<DeviceBuffer> Allocate(size_t size_bytes) = 0;
  virtual void CopyToDevice(const void* host, size_t size_bytes, void* device) = 0;
  virtual void CopyToHost(const void* device, size_t size_bytes, void* host) = 0;
  // Waits for all that was enqueued; Internal names what failed since the last call.
  virtual absl::Status Synchronize() = 0;

  // Whether Repeat captures: then steps are worth padding so that they are alike.
  virtual bool captures() const { return false; }
  // Enqueues what `enqueue` enqueues. A device that captures may do what an earlier call with this
  // key enqueued instead of asking again, so calls with one key must enqueue the same operations on
  // the same memory, whatever it holds, and none that waits, allocates or copies from or to the
  // host. A device communicator's collectives may be among them. Errors: enqueue's, and Internal
  // where the device cannot capture.
  virtual absl::Status Repeat(const std::vector<int64_t>& key,
                              absl::FunctionRef<absl::Status()> enqueue) {
    (void)key;
    return enqueue();
  }

  // Packs the pieces' rows, stacked in order, each with `cols` columns. Reads each source byte from
  // memory once; in parallel. InvalidArgument for a format that this backend does not have.
  virtual absl::StatusOr<PackedWeight> Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                            WeightFormat format) = 0;
  // The piece's rows as a table for Embed: row-major, act. Otherwise as Pack.
  virtual absl::StatusOr<DeviceBuffer> MakeTable(const WeightPiece& piece, int64_t cols) = 0;

  // out[i] = table[ids[i] - first_id], zeros where the id lies outside. ids: [rows] int32 on the
  // device. table: [ids of this shard, hidden] act; out: [rows, hidden] float32.
  virtual void Embed(const TensorView& table, int64_t first_id, const int32_t* ids,
                     const TensorView& out) = 0;

  // residual += delta (where given); out = residual / sqrt(mean(residual^2) + eps) * weight.
  // residual, delta: [rows, hidden] float32; weight: [1, hidden] float32; out: act.
  virtual void AddRmsNorm(const TensorView* delta, const TensorView& weight, float eps,
                          const TensorView& residual, const TensorView& out) = 0;

  // out = x * weight^T. x: [rows, cols] act; out: [rows, weight.rows] float32. Each element is
  // summed in an order that does not depend on the number of rows.
  virtual void MatMul(const PackedWeight& weight, const TensorView& x, const TensorView& out) = 0;

  // Normalises q and k over head_dim, rotates them (half-split RoPE), rounds q, k and v to the act
  // dtype, which is that of the pages, and writes k and v into their pages where kv_slots says so.
  // qkv: [rows, (heads + 2 kv_heads) * head_dim] float32, in place; q_norm, k_norm: [1, head_dim]
  // float32.
  virtual void QkNormRopeWrite(const AttentionShape& shape, const StepLayout& layout,
                               const TensorView& q_norm, const TensorView& k_norm,
                               const KvPages& pages, const TensorView& qkv) = 0;

  // Attention of every segment by the law of sight, scaled by 1 / sqrt(head_dim). qkv as
  // QkNormRopeWrite leaves it; out: [rows, heads * head_dim] act. Keys are summed in an order that
  // their positions alone decide, wherever they lie; the weights of values may be rounded to the
  // act dtype.
  virtual void BlockAttention(const AttentionShape& shape, const StepLayout& layout,
                              const KvPages& pages, const TensorView& qkv,
                              const TensorView& out) = 0;

  // out = silu(gate) * up. gate_up: [rows, 2 * width] float32, gate first; out: [rows, width] act.
  virtual void SwiGlu(const TensorView& gate_up, const TensorView& out) = 0;

  // The top-k experts of softmax(logits), ties to the lower id, weights renormalised to sum 1 if
  // asked. logits: [rows, experts] float32; ids: [rows, k] int32 and weights: [rows, k] float32, by
  // falling weight.
  virtual void Route(const TensorView& logits, int64_t k, bool renormalize, int32_t* ids,
                     float* weights) = 0;

  // out[i] = sum over row i's slots, in slot order, of weight * SwiGLU expert, for the experts that
  // live here. x: [rows, hidden] act; ids, weights: [rows, k] as Route gives them; out: [rows,
  // hidden] float32.
  virtual void Experts(const ExpertWeights& experts, const TensorView& x, int64_t k,
                       const int32_t* ids, const float* weights, const TensorView& out) = 0;

  // out = 0, of any dtype.
  virtual void Clear(const TensorView& out) = 0;

  // out[i] = x[rows[i]]. x and out of one dtype; rows: [out.rows] int32 on the device.
  virtual void GatherRows(const TensorView& x, const int32_t* rows, const TensorView& out) = 0;

  // out[rows[i]] += x[i], in the order of i. float32; rows: [x.rows] int32 on the device.
  virtual void ScatterAddRows(const TensorView& x, const int32_t* rows, const TensorView& out) = 0;

  // Turns logits into z in place (penalties, bias, temperature; forbidden ids become -inf after the
  // sums over all ids) and summarises each row. logits: [rows, ids of this shard] float32; out:
  // host memory, one per row. Waits.
  virtual void SummarizeLogits(const LogitSpecs& specs, const TensorView& logits,
                               absl::Span<LogitSummary> out) = 0;
};

}  // namespace sdar
