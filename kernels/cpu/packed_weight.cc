// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/packed_weight.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

namespace sdar {
namespace {

// Words of a row that are converted together: 32 rows of them stay in the first-level cache.
constexpr int64_t kChunkWords = 64;
constexpr int64_t kChunkElements = 4 * kChunkWords;  // at most

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

// One column's quantisation: weight = scale * byte.
struct Int8Column {
  float scale = 0;
  float inverse = 0;
  int32_t sum = 0;
};

Int8Column MeasureColumn(const SourceRow& source, int64_t cols) {
  float wide[kChunkElements];
  BFloat16 room[kChunkElements];
  float largest = 0;
  for (int64_t k = 0; k < cols; k += kChunkElements) {
    const int64_t n = std::min(kChunkElements, cols - k);
    ConvertToFloat(source.dtype, source.At(k, n, room), static_cast<size_t>(n), wide);
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(wide[i]));
  }
  Int8Column column;
  column.scale = largest / 127.0f;
  column.inverse = largest > 0 ? 127.0f / largest : 0.0f;
  return column;
}

void Quantize(const float* values, int64_t n, Int8Column& column, void* out) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  auto* bytes = static_cast<int8_t*>(out);
  for (int64_t i = 0; i < n; ++i) {
    bytes[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(values[i] * column.inverse + kMagic));
    column.sum += bytes[i];
  }
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

// The elements from k on of one column, `n` of them, as the weight keeps them.
void EncodeChunk(const SourceRow& source, int64_t k, int64_t n, const PackedWeight& packed,
                 Int8Column& column, uint32_t* out) {
  if (packed.format == WeightFormat::kAct) return EncodeAct(source, k, n, packed.dtype, out);
  BFloat16 room[kChunkElements];
  float wide[kChunkElements];
  ConvertToFloat(source.dtype, source.At(k, n, room), static_cast<size_t>(n), wide);
  Quantize(wide, n, column, out);
}

void StoreInt8Tail(const Int8Column (&columns)[kTileColumns], uint32_t* out) {
  for (int c = 0; c < kTileColumns; ++c) {
    out[c] = std::bit_cast<uint32_t>(columns[c].scale);
    out[kTileColumns + c] = std::bit_cast<uint32_t>(columns[c].sum);
  }
}

void PackTile(absl::Span<const WeightPiece> pieces, const SimdKernels& kernels,
              const PackedWeight& packed, int64_t tile, uint32_t* out) {
  const int64_t first = tile * kTileColumns;
  const int64_t columns = std::min<int64_t>(kTileColumns, packed.rows - first);
  const bool is_int8 = packed.format == WeightFormat::kInt8;
  const int64_t chunk =
      is_int8 ? kChunkElements : kChunkWords * 4 / static_cast<int64_t>(SizeOf(packed.dtype));
  SourceRow sources[kTileColumns];
  Int8Column quantized[kTileColumns];
  for (int64_t c = 0; c < columns; ++c) {
    sources[c] = FindRow(pieces, first + c);
    if (is_int8) quantized[c] = MeasureColumn(sources[c], packed.cols);
  }
  uint32_t words[kTileColumns][kChunkWords];
  for (int64_t k = 0; k < packed.cols; k += chunk) {
    const int64_t n = std::min(chunk, packed.cols - k);
    if (n < chunk || columns < kTileColumns) std::memset(words, 0, sizeof words);
    for (int64_t c = 0; c < columns; ++c) {
      EncodeChunk(sources[c], k, n, packed, quantized[c], words[c]);
    }
    const int64_t count = std::min(kChunkWords, NumWords(packed) - k / (chunk / kChunkWords));
    kernels.interleave(words[0], kChunkWords, count, out);
    out += count * kTileColumns;
  }
  if (is_int8) StoreInt8Tail(quantized, out);
}

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
  const SourceRow source = RowOf(piece, row);
  for (int64_t k = 0; k < cols; k += kChunkElements) {
    EncodeAct(source, k, std::min(kChunkElements, cols - k), act,
              static_cast<unsigned char*>(out) + static_cast<size_t>(k) * SizeOf(act));
  }
}

void PackWeight(absl::Span<const WeightPiece> pieces, const SimdKernels& kernels, ThreadPool& pool,
                const PackedWeight& packed) {
  auto* storage = static_cast<unsigned char*>(packed.storage.data());
  const int64_t tile_bytes = TileBytes(packed);
  pool.Run(NumTiles(packed), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      PackTile(pieces, kernels, packed, tile,
               reinterpret_cast<uint32_t*>(storage + tile * tile_bytes));
    }
  });
}

}  // namespace sdar
