// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "kernels/cpu/logit_reduction.h"
#include "kernels/cpu/packed_weight.h"

namespace sdar {
namespace {

// Rows of a segment whose keys are read together: the unit of attention work, together with a K/V
// head.
struct QueryRows {
  const AttentionSegment* segment;
  int32_t first_row;  // within the segment
  int32_t num_rows;
};

// Whole blocks of about this many rows: so many share what reading a key costs.
constexpr int32_t kRowsAtOnce = 16;

std::vector<QueryRows> SplitSegments(const StepLayout& layout) {
  std::vector<QueryRows> parts;
  for (int64_t s = 0; s < layout.num_segments; ++s) {
    const AttentionSegment& segment = layout.segments[s];
    const int32_t rows = std::max(kRowsAtOnce / segment.block_length, 1) * segment.block_length;
    for (int32_t row = 0; row < segment.num_rows; row += rows) {
      parts.push_back({&segment, row, std::min(rows, segment.num_rows - row)});
    }
  }
  return parts;
}

constexpr size_t kLineFloats = kLineBytes / sizeof(float);

// Vectors that cross lines take twice as long to load and store.
float* FirstWholeLine(std::vector<float>& memory) {
  const size_t at = reinterpret_cast<uintptr_t>(memory.data()) / sizeof(float) % kLineFloats;
  return memory.data() + (kLineFloats - at) % kLineFloats;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuBackend>> CpuBackend::Create(const CpuBackendOptions& options) {
  if (options.act_dtype == DType::kFloat16) {
    return absl::InvalidArgumentError(
        "dtype float16: the CPU backend computes in bfloat16 or float32");
  }
  return std::unique_ptr<CpuBackend>(new CpuBackend(options));
}

CpuBackend::CpuBackend(const CpuBackendOptions& options)
    : options_(options),
      kernels_(KernelsFor(options.instruction_set)),
      pool_({options.cores.num_threads, options.cores.cpus, options.cores.spin}) {}

std::string CpuBackend::Description() const {
  return absl::StrCat("cpu ", kernels_.name, ", ", pool_.num_threads(),
                      pool_.num_threads() == 1 ? " thread" : " threads",
                      options_.cores.cpus.empty() ? "" : " pinned");
}

void CpuBackend::CopyToDevice(const void* host, size_t size_bytes, void* device) {
  if (size_bytes > 0) std::memcpy(device, host, size_bytes);
}

void CpuBackend::CopyToHost(const void* device, size_t size_bytes, void* host) {
  if (size_bytes > 0) std::memcpy(host, device, size_bytes);
}

absl::StatusOr<PackedWeight> CpuBackend::Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                              WeightFormat format) {
  if (format == WeightFormat::kInt8 && cols > kMaxInt8Cols) {
    return absl::InvalidArgumentError(
        absl::StrCat("int8 weights: expected at most ", kMaxInt8Cols, " columns, got ", cols));
  }
  PackedWeight packed;
  packed.dtype = options_.act_dtype;
  packed.format = format;
  packed.cols = cols;
  for (const WeightPiece& piece : pieces) packed.rows += piece.rows;
  const int64_t bytes = NumTiles(packed) * TileBytes(packed);
  SDAR_ASSIGN_OR_RETURN(packed.storage, AllocateHostMemory(static_cast<size_t>(bytes)));
  PackWeight(pieces, kernels_, pool_, packed);
  return packed;
}

absl::StatusOr<DeviceBuffer> CpuBackend::MakeTable(const WeightPiece& piece, int64_t cols) {
  const size_t row_bytes = static_cast<size_t>(cols) * SizeOf(options_.act_dtype);
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer table,
                        AllocateHostMemory(static_cast<size_t>(piece.rows) * row_bytes));
  auto* rows = static_cast<unsigned char*>(table.data());
  pool_.Run(piece.rows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      EncodeRow(piece, r, cols, options_.act_dtype, rows + static_cast<size_t>(r) * row_bytes);
    }
  });
  return table;
}

void CpuBackend::Embed(const TensorView& table, int64_t first_id, const int32_t* ids,
                       const TensorView& out) {
  pool_.Run(out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = ids[i] - first_id;
      if (row < 0 || row >= table.rows) {
        std::fill_n(out.Row<float>(i), out.cols, 0.0f);
      } else {
        const auto stride = table.row_stride * static_cast<int64_t>(SizeOf(table.dtype));
        ConvertToFloat(table.dtype, static_cast<const char*>(table.data) + row * stride,
                       static_cast<size_t>(out.cols), out.Row<float>(i));
      }
    }
  });
}

void CpuBackend::AddRmsNorm(const TensorView* delta, const TensorView& weight, float eps,
                            const TensorView& residual, const TensorView& out) {
  pool_.Run(residual.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      void* row = IsBFloat16() ? static_cast<void*>(out.Row<uint16_t>(i)) : out.Row<float>(i);
      kernels_.add_rms_norm(delta == nullptr ? nullptr : delta->Row<float>(i), weight.Row<float>(0),
                            eps, residual.cols, residual.Row<float>(i), row, IsBFloat16());
    }
  });
}

void CpuBackend::MatMul(const PackedWeight& weight, const TensorView& x, const TensorView& out) {
  if (x.rows > 0) matmuls_.Run({{&weight, x, out}});
}

// Angles as the reference computes them: inverse frequencies and their products with the position
// in float32.
void CpuBackend::ExtendRotations(const AttentionShape& shape, const StepLayout& layout) {
  if (rotations_theta_ != shape.rope_theta || rotations_head_dim_ != shape.head_dim) {
    rotations_.clear();
    rotations_theta_ = shape.rope_theta;
    rotations_head_dim_ = shape.head_dim;
  }
  const int64_t half = shape.head_dim / 2;
  const int64_t known = static_cast<int64_t>(rotations_.size()) / shape.head_dim;
  const int64_t needed =
      layout.num_rows == 0
          ? 0
          : 1 + *std::max_element(layout.positions, layout.positions + layout.num_rows);
  if (needed <= known) return;
  rotations_.resize(static_cast<size_t>(needed * shape.head_dim));
  for (int64_t position = known; position < needed; ++position) {
    float* cos = rotations_.data() + position * shape.head_dim;
    for (int64_t i = 0; i < half; ++i) {
      const float exponent = static_cast<float>(2 * i) / static_cast<float>(shape.head_dim);
      const float frequency = 1.0f / std::pow(shape.rope_theta, exponent);
      const float angle = static_cast<float>(position) * frequency;
      cos[i] = static_cast<float>(std::cos(double{angle}));
      cos[half + i] = static_cast<float>(std::sin(double{angle}));
    }
  }
}

void CpuBackend::QkNormRopeWrite(const AttentionShape& shape, const StepLayout& layout,
                                 const TensorView& q_norm, const TensorView& k_norm,
                                 const KvPages& pages, const TensorView& qkv) {
  ExtendRotations(shape, layout);
  const int64_t d = shape.head_dim;
  const auto element = static_cast<int64_t>(SizeOf(pages.dtype));
  pool_.Run(layout.num_rows, [&](int64_t begin, int64_t end) {
    std::vector<uint16_t> rounded(static_cast<size_t>(d));
    // Rounds a head in place, so that a row reads what later steps will; returns it as act.
    const auto round = [&](float* head) -> const void* {
      if (!IsBFloat16()) return head;
      kernels_.round_bfloat16(head, d, rounded.data());
      ConvertToFloat(DType::kBFloat16, rounded.data(), static_cast<size_t>(d), head);
      return rounded.data();
    };
    const auto write = [&](float* head, int64_t kv_head, int64_t slot, void* memory) {
      const void* source = round(head);
      if (slot < 0) return;
      const int64_t page = slot / pages.page_size;
      const int64_t at =
          ((page * pages.num_kv_heads + kv_head) * pages.page_size + slot % pages.page_size) * d;
      std::memcpy(static_cast<char*>(memory) + at * element, source,
                  static_cast<size_t>(d * element));
    };
    for (int64_t row = begin; row < end; ++row) {
      const float* cos = rotations_.data() + layout.positions[row] * d;
      float* head = qkv.Row<float>(row);
      for (int64_t h = 0; h < shape.num_heads; ++h, head += d) {
        kernels_.norm_rope(head, q_norm.Row<float>(0), shape.rms_norm_eps, d, cos, cos + d / 2);
        round(head);
      }
      for (int64_t h = 0; h < shape.num_kv_heads; ++h, head += d) {
        kernels_.norm_rope(head, k_norm.Row<float>(0), shape.rms_norm_eps, d, cos, cos + d / 2);
        write(head, h, layout.kv_slots[row], pages.keys);
      }
      for (int64_t h = 0; h < shape.num_kv_heads; ++h, head += d) {
        write(head, h, layout.kv_slots[row], pages.values);
      }
    }
  });
}

void CpuBackend::BlockAttention(const AttentionShape& shape, const StepLayout& layout,
                                const KvPages& pages, const TensorView& qkv,
                                const TensorView& out) {
  const std::vector<QueryRows> parts = SplitSegments(layout);
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t d = shape.head_dim;
  const int64_t items = static_cast<int64_t>(parts.size()) * shape.num_kv_heads;
  // A thread goes on to the next item, in the main.
  const auto set_next = [&](int64_t next, AttentionItem& a) {
    if (next == items) return;
    const AttentionSegment& segment =
        *parts[static_cast<size_t>(next / shape.num_kv_heads)].segment;
    a.next_committed = segment.first_position;
    a.next_page_table = layout.page_table + segment.page_offset;
    a.next_head_offset = next % shape.num_kv_heads * pages.page_size * d;
  };
  attention_scratch_.resize(static_cast<size_t>(pool_.num_threads()));
  pool_.RunBalanced(items, [&](int64_t item, int thread) {
    std::vector<float>& scratch = attention_scratch_[static_cast<size_t>(thread)];
    const QueryRows& part = parts[static_cast<size_t>(item / shape.num_kv_heads)];
    const AttentionSegment& segment = *part.segment;
    const int64_t kv_head = item % shape.num_kv_heads;
    const size_t floats = static_cast<size_t>(AttentionScratchFloats(part.num_rows * group, d));
    if (scratch.size() < floats + kLineFloats) scratch.resize(floats + kLineFloats);
    const float* first = qkv.Row<float>(segment.first_row);
    const int64_t out_at =
        (segment.first_row + part.first_row) * out.row_stride + kv_head * group * d;
    AttentionItem a;
    a.q = first + part.first_row * qkv.row_stride + kv_head * group * d;
    a.own_k = first + (shape.num_heads + kv_head) * d;
    a.own_v = a.own_k + shape.num_kv_heads * d;
    a.out = static_cast<char*>(out.data) + out_at * static_cast<int64_t>(SizeOf(out.dtype));
    a.scratch = FirstWholeLine(scratch);
    a.page_keys = pages.keys;
    a.page_values = pages.values;
    a.page_table = layout.page_table + segment.page_offset;
    a.page_stride = pages.num_kv_heads * pages.page_size * d;
    a.head_offset = kv_head * pages.page_size * d;
    a.page_size = pages.page_size;
    a.num_committed = segment.first_position;
    a.num_keys = segment.first_position + part.first_row + part.num_rows;
    a.first_row = part.first_row;
    a.num_rows = part.num_rows;
    a.segment_rows = segment.num_rows;
    a.block_length = segment.block_length;
    a.group = group;
    a.head_dim = d;
    a.row_stride = qkv.row_stride;
    a.out_stride = out.row_stride;
    a.scale = 1.0f / std::sqrt(static_cast<float>(d));
    a.bfloat16 = IsBFloat16();
    set_next(item + 1, a);
    kernels_.attention(a);
  });
}

void CpuBackend::SwiGlu(const TensorView& gate_up, const TensorView& out) {
  pool_.Run(out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* gate = gate_up.Row<float>(i);
      void* row = IsBFloat16() ? static_cast<void*>(out.Row<uint16_t>(i)) : out.Row<float>(i);
      kernels_.swiglu(gate, gate + out.cols, out.cols, row, IsBFloat16());
    }
  });
}

void CpuBackend::GatherRows(const TensorView& x, const int32_t* rows, const TensorView& out) {
  const size_t element = SizeOf(x.dtype);
  pool_.Run(out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto from = static_cast<size_t>(rows[i] * x.row_stride) * element;
      const auto to = static_cast<size_t>(i * out.row_stride) * element;
      std::memcpy(static_cast<char*>(out.data) + to, static_cast<const char*>(x.data) + from,
                  static_cast<size_t>(x.cols) * element);
    }
  });
}

void CpuBackend::Clear(const TensorView& out) {
  const size_t row_bytes = static_cast<size_t>(out.cols) * SizeOf(out.dtype);
  for (int64_t r = 0; r < out.rows; ++r) {
    std::memset(
        static_cast<char*>(out.data) + r * out.row_stride * static_cast<int64_t>(SizeOf(out.dtype)),
        0, row_bytes);
  }
}

void CpuBackend::ScatterAddRows(const TensorView& x, const int32_t* rows, const TensorView& out) {
  for (int64_t i = 0; i < x.rows; ++i) {
    kernels_.add_scaled(x.Row<float>(i), 1.0f, x.cols, out.Row<float>(rows[i]));
  }
}

void CpuBackend::SummarizeLogits(const LogitSpecs& specs, const TensorView& logits,
                                 absl::Span<LogitSummary> out) {
  SDAR_CHECK(specs.rows.size() == out.size() && logits.rows == static_cast<int64_t>(out.size()));
  pool_.RunBalanced(logits.rows, [&](int64_t i, int) {
    const auto index = static_cast<size_t>(i);
    out[index] = SummarizeRow(kernels_, specs.first_id, specs.forbidden, specs.rows[index],
                              {logits.Row<float>(i), static_cast<size_t>(logits.cols)});
  });
}

}  // namespace sdar
