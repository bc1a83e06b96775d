// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "common/status_macros.h"
#include "kernels/cpu/packed_weight.h"

namespace sdar {

void MatMulRunner::Run(absl::Span<const MatMulJob> jobs) {
  Place(jobs);
  QuantizeRows(jobs);
  PackAllRows(jobs);
  pool_.RunBalanced(placed_.back().first_tile, [&](int64_t tile, int) {
    const auto behind =
        std::upper_bound(placed_.begin(), placed_.end(), tile,
                         [](int64_t t, const Placed& placed) { return t < placed.first_tile; });
    const auto job = static_cast<size_t>(behind - placed_.begin()) - 1;
    MultiplyTile(jobs[job], placed_[job], tile - placed_[job].first_tile);
  });
}

void MatMulRunner::Place(absl::Span<const MatMulJob> jobs) {
  placed_.assign(1, Placed());
  int64_t bytes = 0;
  for (const MatMulJob& job : jobs) {
    const PackedWeight& w = *job.weight;
    SDAR_CHECK(job.x.cols == w.cols && job.out.cols == w.rows && job.x.rows == job.out.rows &&
               job.x.dtype == w.dtype);
    Placed& placed = placed_.back();
    if (w.format == WeightFormat::kInt8) {
      placed.first_byte = bytes;
      bytes += 4 * job.x.rows * NumWords(w);
    }
    placed_.push_back({placed.first_tile + NumTiles(w), placed.first_row + job.x.rows,
                       placed.first_word + job.x.rows * PackedWords(NumWords(w))});
  }
  const Placed& ends = placed_.back();
  packed_.resize(std::max(packed_.size(), static_cast<size_t>(ends.first_word)));
  bytes_.resize(std::max(bytes_.size(), static_cast<size_t>(bytes)));
  row_scales_.resize(std::max(row_scales_.size(), static_cast<size_t>(ends.first_row)));
}

void MatMulRunner::QuantizeRows(absl::Span<const MatMulJob> jobs) {
  const auto is_int8 = [](const Placed& placed) { return placed.first_byte >= 0; };
  if (std::none_of(placed_.begin(), placed_.end(), is_int8)) return;
  pool_.Run(placed_.back().first_row, [&](int64_t begin, int64_t end) {
    size_t at = 0;
    for (int64_t row = begin; row < end; ++row) {
      while (placed_[at + 1].first_row <= row) ++at;
      if (!is_int8(placed_[at])) continue;
      const TensorView& x = jobs[at].x;
      const int64_t index = row - placed_[at].first_row;
      const bool bfloat16 = x.dtype == DType::kBFloat16;
      const void* in = bfloat16 ? static_cast<const void*>(x.Row<uint16_t>(index))
                                : static_cast<const void*>(x.Row<float>(index));
      uint8_t* out =
          bytes_.data() + placed_[at].first_byte + index * 4 * NumWords(*jobs[at].weight);
      kernels_.quantize_row(in, x.cols, bfloat16, kZeroByte, out,
                            &row_scales_[static_cast<size_t>(row)]);
    }
  });
}

// Every job's words are split among the threads.
void MatMulRunner::PackAllRows(absl::Span<const MatMulJob> jobs) {
  const int64_t parts = pool_.num_threads();
  pool_.Run(static_cast<int64_t>(jobs.size()) * parts, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const auto at = static_cast<size_t>(item / parts);
      const int64_t part = item % parts;
      const TensorView& x = jobs[at].x;
      RowPacking p;
      p.rows = x.rows;
      p.words = NumWords(*jobs[at].weight);
      const int64_t lines = PackedWords(p.words) / kWordsOfLine;
      p.first_word = lines * part / parts * kWordsOfLine;
      p.end_word = std::min(lines * (part + 1) / parts * kWordsOfLine, p.words);
      p.out = packed_.data() + placed_[at].first_word;
      if (placed_[at].first_byte >= 0) {
        p.in = bytes_.data() + placed_[at].first_byte;
        p.stride_bytes = p.row_bytes = 4 * p.words;
      } else {
        const auto element = static_cast<int64_t>(SizeOf(x.dtype));
        p.in = x.data;
        p.stride_bytes = x.row_stride * element;
        p.row_bytes = x.cols * element;
      }
      ProductOf(*jobs[at].weight).pack_rows(p);
    }
  });
}

void MatMulRunner::MultiplyTile(const MatMulJob& job, const Placed& placed, int64_t tile) const {
  const PackedWeight& w = *job.weight;
  const auto* memory = static_cast<const unsigned char*>(w.storage.data()) + tile * TileBytes(w);
  MatMulTile t;
  t.weight = reinterpret_cast<const uint32_t*>(memory);
  t.x = packed_.data() + placed.first_word;
  t.out = job.out.Row<float>(0) + tile * kTileColumns;
  t.words = NumWords(w);
  t.rows = job.x.rows;
  t.out_stride = job.out.row_stride;
  t.columns = std::min<int64_t>(kTileColumns, w.rows - tile * kTileColumns);
  if (w.format == WeightFormat::kInt8) {
    t.column_scales = reinterpret_cast<const float*>(t.weight + t.words * kTileColumns);
    t.column_sums = reinterpret_cast<const int32_t*>(t.column_scales + kTileColumns);
    t.row_scales = row_scales_.data() + placed.first_row;
  }
  ProductOf(w).multiply(t);
}

const SimdProduct& MatMulRunner::ProductOf(const PackedWeight& weight) const {
  if (weight.format == WeightFormat::kInt8) return kernels_.int8;
  return weight.dtype == DType::kFloat32 ? kernels_.float32 : kernels_.bfloat16;
}

}  // namespace sdar
