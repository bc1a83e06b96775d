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
  sums_.resize(static_cast<size_t>(pool_.num_threads()));
  pool_.RunBalanced(placed_.back().first_part, [&](int64_t part, int thread) {
    const auto behind =
        std::upper_bound(placed_.begin(), placed_.end(), part,
                         [](int64_t p, const Placed& placed) { return p < placed.first_part; });
    const auto job = static_cast<size_t>(behind - placed_.begin()) - 1;
    MultiplyPart(jobs[job], placed_[job], part - placed_[job].first_part, thread);
  });
}

// Tiles that are multiplied together: few with few rows, as many as the product likes with many,
// as long as every thread has some parts.
int64_t MatMulRunner::TilesOfPart(const MatMulJob& job) const {
  constexpr int64_t kFewRows = 32, kFewTiles = 2, kPartsOfThread = 4;
  const int64_t most = ProductOf(*job.weight).most_tiles;
  const int64_t share = NumTiles(*job.weight) / (kPartsOfThread * pool_.num_threads());
  const int64_t wish = job.x.rows <= kFewRows ? std::min(kFewTiles, most) : most;
  return std::clamp<int64_t>(share, 1, wish);
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
    placed.part_tiles = TilesOfPart(job);
    const int64_t parts = (NumTiles(w) + placed.part_tiles - 1) / placed.part_tiles;
    const int64_t packed_words =
        RowsWithRest(job.x.rows) * PackedWords(NumWords(w)) * ProductOf(w).packed_words;
    Placed next;
    next.first_part = placed.first_part + parts;
    next.first_row = placed.first_row + job.x.rows;
    next.first_word = placed.first_word + packed_words;
    placed_.push_back(next);
  }
  const Placed& ends = placed_.back();
  packed_ = packed_memory_.Room<uint32_t>(ends.first_word);
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
      p.out = packed_ + placed_[at].first_word;
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

void MatMulRunner::MultiplyPart(const MatMulJob& job, const Placed& placed, int64_t part,
                                int thread) {
  const PackedWeight& w = *job.weight;
  const int64_t tile = part * placed.part_tiles;
  const auto* memory = static_cast<const unsigned char*>(w.storage.data()) + tile * TileBytes(w);
  MatMulTile t;
  t.weight = reinterpret_cast<const uint32_t*>(memory);
  t.tile_bytes = TileBytes(w);
  t.x = packed_ + placed.first_word;
  t.out = job.out.Row<float>(0) + tile * kTileColumns;
  t.words = NumWords(w);
  t.rows = job.x.rows;
  t.out_stride = job.out.row_stride;
  t.columns = std::min(placed.part_tiles * kTileColumns, w.rows - tile * kTileColumns);
  const int64_t sums = placed.part_tiles * RowsWithRest(t.rows) * kTileColumns;
  t.sums = sums_[static_cast<size_t>(thread)].Room<float>(sums);
  t.row_scales = row_scales_.data() + placed.first_row;
  ProductOf(w).multiply(t);
}

const SimdProduct& MatMulRunner::ProductOf(const PackedWeight& weight) const {
  if (weight.format == WeightFormat::kInt8) return kernels_.int8;
  return weight.dtype == DType::kFloat32 ? kernels_.float32 : kernels_.bfloat16;
}

}  // namespace sdar
