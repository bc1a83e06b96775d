// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/packed_weight.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <vector>

namespace sdar {
namespace {

// Words of a row that are converted together: 32 rows of them stay in the first-level cache.
constexpr int64_t kChunkWords = 64;
constexpr int64_t kChunkElements = 2 * kChunkWords;  // at most

struct SourceRow {
  DType dtype = DType::kBFloat16;
  const unsigned char* data = nullptr;
  std::optional<SyntheticElements> synthetic;  // instead of data

  const void* Stored(int64_t k) const { return data + k * static_cast<int64_t>(SizeOf(dtype)); }
  // The elements k .. k + n - 1: where they lie, or made up in `room`.
  const void* At(int64_t k, int64_t n, BFloat16 (&room)[kChunkElements]) const {
    if (!synthetic) return Stored(k);
    FillSynthetic({synthetic->key, synthetic->first + static_cast<uint64_t>(k)},
                  static_cast<size_t>(n), room);
    return room;
  }
};

SourceRow RowOf(const WeightPiece& piece, int64_t row) {
  const int64_t first = row * piece.row_stride;
  if (piece.synthetic) {
    const uint64_t index = piece.synthetic->first + static_cast<uint64_t>(first);
    return {DType::kBFloat16, nullptr, SyntheticElements{piece.synthetic->key, index}};
  }
  const auto offset = first * static_cast<int64_t>(SizeOf(piece.dtype));
  return {piece.dtype, static_cast<const unsigned char*>(piece.data) + offset, std::nullopt};
}

// The source of row `row` of the stacked pieces.
SourceRow FindRow(absl::Span<const WeightPiece> pieces, int64_t row) {
  for (const WeightPiece& piece : pieces) {
    if (row < piece.rows) return RowOf(piece, row);
    row -= piece.rows;
  }
  return {};
}

// The elements from k on, `n` of them, as `act`.
void EncodeAct(const SourceRow& source, int64_t k, int64_t n, DType act, void* out) {
  const auto count = static_cast<size_t>(n);
  if (!source.synthetic && source.dtype == act) {  // the usual case, bound by memory
    std::memcpy(out, source.Stored(k), count * SizeOf(act));
    return;
  }
  BFloat16 room[kChunkElements];
  const void* at = source.At(k, n, room);
  if (source.dtype == act) {
    std::memcpy(out, at, count * SizeOf(act));
    return;
  }
  float wide[kChunkElements];
  ConvertToFloat(source.dtype, at, count, wide);
  if (act == DType::kBFloat16) {
    ConvertToBFloat16(wide, count, static_cast<BFloat16*>(out));
  } else {
    std::memcpy(out, wide, count * sizeof(float));
  }
}

void EncodeRow(const SourceRow& source, int64_t cols, DType act, void* out) {
  for (int64_t k = 0; k < cols; k += kChunkElements) {
    EncodeAct(source, k, std::min(kChunkElements, cols - k), act,
              static_cast<unsigned char*>(out) + static_cast<size_t>(k) * SizeOf(act));
  }
}

void PackActTile(absl::Span<const SourceRow> columns, const SimdKernels& kernels,
                 const PackedWeight& packed, uint32_t* out) {
  constexpr int64_t kChunkBytes = 4 * kChunkWords;
  const int64_t chunk = kChunkBytes / static_cast<int64_t>(SizeOf(packed.dtype));
  uint32_t words[kTileColumns][kChunkWords];
  for (int64_t k = 0; k < packed.cols; k += chunk) {
    const int64_t n = std::min(chunk, packed.cols - k);
    if (n < chunk || columns.size() < kTileColumns) std::memset(words, 0, sizeof words);
    for (size_t c = 0; c < columns.size(); ++c) {
      EncodeAct(columns[c], k, n, packed.dtype, words[c]);
    }
    const int64_t count = std::min(kChunkWords, NumWords(packed) - k * kChunkWords / chunk);
    kernels.interleave(words[0], kChunkWords, count, out);
    out += count * kTileColumns;
  }
}

// Makes a tile of int8 from whole columns: each is read for its largest magnitude first.
class Int8TilePacker {
 public:
  Int8TilePacker(const SimdKernels& kernels, const PackedWeight& packed)
      : kernels_(kernels), cols_(packed.cols), num_words_(NumWords(packed)) {
    if (packed.format != WeightFormat::kInt8) return;
    words_.resize(static_cast<size_t>(kTileColumns * stride()));
    wide_.resize(static_cast<size_t>(cols_));
  }

  void Pack(absl::Span<const SourceRow> columns, uint32_t* out) {
    uint32_t* scales = out + num_words_ * kTileColumns;
    uint32_t* sums = scales + kTileColumns;
    if (columns.size() < kTileColumns) std::fill(words_.begin(), words_.end(), 0);
    for (size_t c = 0; c < columns.size(); ++c) {
      auto* bytes = reinterpret_cast<int8_t*>(words_.data() + static_cast<int64_t>(c) * stride());
      scales[c] = std::bit_cast<uint32_t>(Quantize(columns[c], bytes));
      int32_t sum = 0;
      for (int64_t k = 0; k < cols_; ++k) sum += bytes[k];
      sums[c] = std::bit_cast<uint32_t>(sum);
    }
    kernels_.interleave(words_.data(), stride(), num_words_, out);
  }

 private:
  // Words from column to column: an odd number of lines, so that columns do not meet in the cache.
  int64_t stride() const { return (num_words_ + 15) / 16 / 2 * 32 + 16; }

  // Returns what one unit of a byte is worth.
  float Quantize(const SourceRow& column, int8_t* bytes) {
    float scale = 0;
    const bool is_stored = !column.synthetic && column.dtype != DType::kFloat16;
    const bool bfloat16 = is_stored && column.dtype == DType::kBFloat16;
    if (!is_stored) EncodeRow(column, cols_, DType::kFloat32, wide_.data());
    kernels_.quantize_row(is_stored ? column.Stored(0) : wide_.data(), cols_, bfloat16, 0,
                          reinterpret_cast<uint8_t*>(bytes), &scale);
    return scale;
  }

  const SimdKernels& kernels_;
  const int64_t cols_;
  const int64_t num_words_;
  std::vector<uint32_t> words_;  // [kTileColumns][stride]
  std::vector<float> wide_;      // a column that is not as it is stored
};

}  // namespace

int64_t NumTiles(const PackedWeight& weight) {
  return (weight.rows + kTileColumns - 1) / kTileColumns;
}

int64_t NumWords(const PackedWeight& weight) {
  const int64_t element =
      weight.format == WeightFormat::kInt8 ? 1 : static_cast<int64_t>(SizeOf(weight.dtype));
  return (weight.cols * element + 3) / 4;
}

int64_t TileBytes(const PackedWeight& weight) {
  const int64_t tail = weight.format == WeightFormat::kInt8 ? 8 : 0;  // bytes per column
  return kTileColumns * (NumWords(weight) * 4 + tail);
}

void EncodeRow(const WeightPiece& piece, int64_t row, int64_t cols, DType act, void* out) {
  EncodeRow(RowOf(piece, row), cols, act, out);
}

void PackWeight(absl::Span<const WeightPiece> pieces, const SimdKernels& kernels, ThreadPool& pool,
                const PackedWeight& packed) {
  auto* storage = static_cast<unsigned char*>(packed.storage.data());
  const int64_t tile_bytes = TileBytes(packed);
  pool.Run(NumTiles(packed), [&](int64_t begin, int64_t end) {
    Int8TilePacker int8(kernels, packed);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * kTileColumns;
      SourceRow columns[kTileColumns];
      const int64_t count = std::min<int64_t>(kTileColumns, packed.rows - first);
      for (int64_t c = 0; c < count; ++c) columns[c] = FindRow(pieces, first + c);
      const auto present = absl::MakeConstSpan(columns, static_cast<size_t>(count));
      auto* out = reinterpret_cast<uint32_t*>(storage + tile * tile_bytes);
      if (packed.format == WeightFormat::kInt8) {
        int8.Pack(present, out);
      } else {
        PackActTile(present, kernels, packed, out);
      }
    }
  });
}

}  // namespace sdar
