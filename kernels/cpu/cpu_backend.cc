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

// Whole blocks of at most about `rows_at_once` rows, which share what reading a key costs.
std::vector<QueryRows> SplitSegments(const StepLayout& layout, int32_t rows_at_once) {
  std::vector<QueryRows> parts;
  for (int64_t s = 0; s < layout.num_segments; ++s) {
    const AttentionSegment& segment = layout.segments[s];
    const int32_t rows = std::max(rows_at_once / segment.block_length, 1) * segment.block_length;
    for (int32_t row = 0; row < segment.num_rows; row += rows) {
      parts.push_back({&segment, row, std::min(rows, segment.num_rows - row)});
    }
  }
  return parts;
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

void CpuBackend::Run(const Operation& operation) {
  std::visit([this](const auto& call) { Execute(call); }, operation);
}

void CpuBackend::Execute(const op::Embed& call) {
  pool_.Run(call.out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = call.ids[i] - call.first_id;
      if (row < 0 || row >= call.table.rows) {
        std::fill_n(call.out.Row<float>(i), call.out.cols, 0.0f);
      } else {
        const auto stride = call.table.row_stride * static_cast<int64_t>(SizeOf(call.table.dtype));
        ConvertToFloat(call.table.dtype, static_cast<const char*>(call.table.data) + row * stride,
                       static_cast<size_t>(call.out.cols), call.out.Row<float>(i));
      }
    }
  });
}

void CpuBackend::Execute(const op::AddRmsNorm& call) {
  pool_.Run(call.residual.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      void* row =
          IsBFloat16() ? static_cast<void*>(call.out.Row<uint16_t>(i)) : call.out.Row<float>(i);
      kernels_.add_rms_norm(call.delta ? call.delta->Row<float>(i) : nullptr,
                            call.weight.Row<float>(0), call.eps, call.residual.cols,
                            call.residual.Row<float>(i), row, IsBFloat16());
    }
  });
}

void CpuBackend::Execute(const op::MatMul& call) {
  if (call.x.rows > 0) matmuls_.Run({{&call.weight, call.x, call.out}});
}

// Angles as the reference computes them: the products of frequencies and the position in float32.
void CpuBackend::ExtendRotations(const op::QkNormRopeWrite& call) {
  const int64_t half = call.shape.head_dim / 2;
  const absl::Span<const float> frequencies(call.rope.frequencies, static_cast<size_t>(half));
  if (frequencies != absl::MakeConstSpan(rotations_of_) || rotations_scale_ != call.rope.scale) {
    rotations_.clear();
    rotations_of_.assign(frequencies.begin(), frequencies.end());
    rotations_scale_ = call.rope.scale;
  }
  const StepLayout& layout = call.layout;
  const int64_t known = static_cast<int64_t>(rotations_.size()) / call.shape.head_dim;
  const int64_t needed =
      layout.num_rows == 0
          ? 0
          : 1 + *std::max_element(layout.positions, layout.positions + layout.num_rows);
  if (needed <= known) return;
  rotations_.resize(static_cast<size_t>(needed * call.shape.head_dim));
  for (int64_t position = known; position < needed; ++position) {
    float* cos = rotations_.data() + position * call.shape.head_dim;
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * frequencies[static_cast<size_t>(i)];
      cos[i] = static_cast<float>(std::cos(double{angle})) * call.rope.scale;
      cos[half + i] = static_cast<float>(std::sin(double{angle})) * call.rope.scale;
    }
  }
}

void CpuBackend::Execute(const op::QkNormRopeWrite& call) {
  const AttentionShape& shape = call.shape;
  const StepLayout& layout = call.layout;
  const KvPages& pages = call.pages;
  ExtendRotations(call);
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
      float* head = call.qkv.Row<float>(row);
      for (int64_t h = 0; h < shape.num_heads; ++h, head += d) {
        kernels_.norm_rope(head, call.q_norm.Row<float>(0), shape.rms_norm_eps, d, cos,
                           cos + d / 2);
        round(head);
      }
      for (int64_t h = 0; h < shape.num_kv_heads; ++h, head += d) {
        kernels_.norm_rope(head, call.k_norm.Row<float>(0), shape.rms_norm_eps, d, cos,
                           cos + d / 2);
        write(head, h, layout.kv_slots[row], pages.keys);
      }
      for (int64_t h = 0; h < shape.num_kv_heads; ++h, head += d) {
        write(head, h, layout.kv_slots[row], pages.values);
      }
    }
  });
}

// As many as the kernel likes, but no fewer items than threads can share evenly.
int32_t CpuBackend::RowsAtOnce(const StepLayout& layout, const AttentionShape& shape) const {
  constexpr int64_t kItemsOfThread = 2;
  constexpr int32_t kFewest = 16;
  const int64_t items = kItemsOfThread * pool_.num_threads() / shape.num_kv_heads + 1;
  const int64_t rows = (layout.num_rows + items - 1) / items;
  return static_cast<int32_t>(
      std::clamp<int64_t>(rows, kFewest, std::max(kernels_.attention_rows, kFewest)));
}

void CpuBackend::Execute(const op::BlockAttention& call) {
  const AttentionShape& shape = call.shape;
  const StepLayout& layout = call.layout;
  const KvPages& pages = call.pages;
  const std::vector<QueryRows> parts = SplitSegments(layout, RowsAtOnce(layout, shape));
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t d = shape.head_dim;
  const int64_t items = static_cast<int64_t>(parts.size()) * shape.num_kv_heads;
  // A thread usually goes on to the next item.
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
    const QueryRows& part = parts[static_cast<size_t>(item / shape.num_kv_heads)];
    const AttentionSegment& segment = *part.segment;
    const int64_t kv_head = item % shape.num_kv_heads;
    const float* first = call.qkv.Row<float>(segment.first_row);
    const int64_t out_at =
        (segment.first_row + part.first_row) * call.out.row_stride + kv_head * group * d;
    AttentionItem a;
    a.q = first + part.first_row * call.qkv.row_stride + kv_head * group * d;
    a.own_k = first + (shape.num_heads + kv_head) * d;
    a.own_v = a.own_k + shape.num_kv_heads * d;
    a.out =
        static_cast<char*>(call.out.data) + out_at * static_cast<int64_t>(SizeOf(call.out.dtype));
    a.scratch = attention_scratch_[static_cast<size_t>(thread)].Room<float>(
        AttentionScratchFloats(part.num_rows * group, d));
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
    a.row_stride = call.qkv.row_stride;
    a.out_stride = call.out.row_stride;
    a.scale = 1.0f / std::sqrt(static_cast<float>(d));
    a.bfloat16 = IsBFloat16();
    set_next(item + 1, a);
    kernels_.attention(a);
  });
}

void CpuBackend::Execute(const op::SwiGlu& call) {
  pool_.Run(call.out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* gate = call.gate_up.Row<float>(i);
      void* row =
          IsBFloat16() ? static_cast<void*>(call.out.Row<uint16_t>(i)) : call.out.Row<float>(i);
      kernels_.swiglu(gate, gate + call.out.cols, call.out.cols, row, IsBFloat16());
    }
  });
}

void CpuBackend::Execute(const op::GatherRows& call) {
  const size_t element = SizeOf(call.x.dtype);
  pool_.Run(call.out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto from = static_cast<size_t>(call.rows[i] * call.x.row_stride) * element;
      const auto to = static_cast<size_t>(i * call.out.row_stride) * element;
      std::memcpy(static_cast<char*>(call.out.data) + to,
                  static_cast<const char*>(call.x.data) + from,
                  static_cast<size_t>(call.x.cols) * element);
    }
  });
}

void CpuBackend::Execute(const op::Clear& call) {
  const TensorView& out = call.out;
  const size_t row_bytes = static_cast<size_t>(out.cols) * SizeOf(out.dtype);
  for (int64_t r = 0; r < out.rows; ++r) {
    std::memset(
        static_cast<char*>(out.data) + r * out.row_stride * static_cast<int64_t>(SizeOf(out.dtype)),
        0, row_bytes);
  }
}

void CpuBackend::Execute(const op::ScatterAddRows& call) {
  for (int64_t i = 0; i < call.x.rows; ++i) {
    kernels_.add_scaled(call.x.Row<float>(i), 1.0f, call.x.cols, call.out.Row<float>(call.rows[i]));
  }
}

void CpuBackend::Execute(const op::SummarizeLogits& call) {
  const LogitSpecs& specs = call.specs;
  SDAR_CHECK(specs.rows.size() == call.out.size() &&
             call.logits.rows == static_cast<int64_t>(call.out.size()));
  pool_.RunBalanced(call.logits.rows, [&](int64_t i, int) {
    const auto index = static_cast<size_t>(i);
    call.out[index] =
        SummarizeRow(kernels_, specs.first_id, specs.forbidden, specs.rows[index],
                     {call.logits.Row<float>(i), static_cast<size_t>(call.logits.cols)});
  });
}

}  // namespace sdar
