// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/status_macros.h"

namespace sdar {
namespace {

int64_t NumTiles(int64_t rows) { return (rows + kTileColumns - 1) / kTileColumns; }

struct SourceRow {
  const WeightPiece* piece;
  const unsigned char* data;
};

// The source of row `row` of the stacked pieces.
SourceRow FindRow(absl::Span<const WeightPiece> pieces, int64_t row) {
  for (const WeightPiece& piece : pieces) {
    if (row < piece.rows) {
      const int64_t offset = row * piece.row_stride * static_cast<int64_t>(SizeOf(piece.dtype));
      return {&piece, static_cast<const unsigned char*>(piece.data) + offset};
    }
    row -= piece.rows;
  }
  return {nullptr, nullptr};
}

void PackBf16Column(const SourceRow& source, int64_t cols, int64_t column, uint16_t* tile) {
  uint16_t* out = tile + 2 * column;
  constexpr int64_t kChunk = 256;
  uint16_t bits[kChunk];
  float wide[kChunk];
  for (int64_t k = 0; k < cols; k += kChunk) {
    const int64_t n = std::min(kChunk, cols - k);
    const void* at = source.data + k * static_cast<int64_t>(SizeOf(source.piece->dtype));
    if (source.piece->dtype == DType::kBFloat16) {
      std::memcpy(bits, at, static_cast<size_t>(n) * 2);
    } else {
      ConvertToFloat(source.piece->dtype, at, static_cast<size_t>(n), wide);
      for (int64_t i = 0; i < n; ++i) bits[i] = ToBFloat16(wide[i]).bits;
    }
    for (int64_t i = 0; i < n; ++i) {
      out[(k + i) / 2 * 2 * kTileColumns + ((k + i) & 1)] = bits[i];
    }
  }
}

void PackF32Column(const SourceRow& source, int64_t cols, int64_t column, float* tile) {
  constexpr int64_t kChunk = 256;
  float wide[kChunk];
  for (int64_t k = 0; k < cols; k += kChunk) {
    const int64_t n = std::min(kChunk, cols - k);
    const void* at = source.data + k * static_cast<int64_t>(SizeOf(source.piece->dtype));
    ConvertToFloat(source.piece->dtype, at, static_cast<size_t>(n), wide);
    for (int64_t i = 0; i < n; ++i) tile[(k + i) * kTileColumns + column] = wide[i];
  }
}

}  // namespace

int64_t TileBytes(DType dtype, int64_t cols) {
  if (dtype == DType::kFloat32) return cols * kTileColumns * 4;
  return (cols + 1) / 2 * 2 * kTileColumns * 2;
}

int64_t PackedBytes(DType dtype, int64_t rows, int64_t cols) {
  return NumTiles(rows) * TileBytes(dtype, cols);
}

void PackWeight(absl::Span<const WeightPiece> pieces, ThreadPool& pool,
                const PackedWeight& packed) {
  auto* storage = static_cast<unsigned char*>(packed.storage.data());
  const int64_t tile_bytes = TileBytes(packed.dtype, packed.cols);
  pool.Run(NumTiles(packed.rows), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      unsigned char* out = storage + tile * tile_bytes;
      const int64_t columns = std::min<int64_t>(kTileColumns, packed.rows - tile * kTileColumns);
      for (int64_t c = 0; c < columns; ++c) {
        const SourceRow source = FindRow(pieces, tile * kTileColumns + c);
        if (packed.dtype == DType::kFloat32) {
          PackF32Column(source, packed.cols, c, reinterpret_cast<float*>(out));
        } else {
          PackBf16Column(source, packed.cols, c, reinterpret_cast<uint16_t*>(out));
        }
      }
    }
  });
}

void RunMatMuls(const SimdKernels& kernels, ThreadPool& pool, absl::Span<const MatMulJob> jobs) {
  std::vector<int64_t> first_tile;  // of each job in the common loop
  int64_t num_tiles = 0;
  for (const MatMulJob& job : jobs) {
    SDAR_CHECK(job.x.cols == job.weight->cols && job.out.cols == job.weight->rows &&
               job.x.rows == job.out.rows && job.x.dtype == job.weight->dtype);
    first_tile.push_back(num_tiles);
    num_tiles += NumTiles(job.weight->rows);
  }
  pool.Run(num_tiles, [&](int64_t begin, int64_t end) {
    auto next = std::upper_bound(first_tile.begin(), first_tile.end(), begin) - 1;
    for (int64_t index = begin; index < end; ++index) {
      while (next + 1 != first_tile.end() && *(next + 1) <= index) ++next;
      const MatMulJob& job = jobs[static_cast<size_t>(next - first_tile.begin())];
      const PackedWeight& w = *job.weight;
      const int64_t tile = index - *next;
      MatMulTile t;
      t.weight =
          static_cast<const unsigned char*>(w.storage.data()) + tile * TileBytes(w.dtype, w.cols);
      t.x = job.x.data;
      t.out = job.out.Row<float>(0) + tile * kTileColumns;
      t.k = w.cols;
      t.rows = job.x.rows;
      t.x_stride = job.x.row_stride;
      t.out_stride = job.out.row_stride;
      t.columns = std::min<int64_t>(kTileColumns, w.rows - tile * kTileColumns);
      (w.dtype == DType::kFloat32 ? kernels.matmul_float32 : kernels.matmul_bfloat16)(t);
    }
  });
}

}  // namespace sdar
