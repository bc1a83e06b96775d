// SPDX-License-Identifier: Apache-2.0
// The inner loops of the CPU backend, compiled once per instruction set and chosen at run time.
// Declares data and function pointers only: the files that define them are built with wider
// instructions than the rest of the program, so they must not share inline functions with it.
#pragma once

#include <stdint.h>

namespace sdar {

// Bytes that come from memory together.
inline constexpr int64_t kLineBytes = 64;

// Columns of one packed weight tile.
inline constexpr int kTileColumns = 32;

// Tiles are multiplied in words of four bytes of consecutive k: one float32, two bfloat16 or four
// bytes; missing ones are zeros.

// The unsigned byte that stands for 0 in a row of x.
inline constexpr uint8_t kZeroByte = 128;

// Rows that a product's packing may round up to, and with them sums.
inline constexpr int64_t kRowsTogether = 16;
constexpr int64_t RowsWithRest(int64_t rows) {
  return (rows + kRowsTogether - 1) / kRowsTogether * kRowsTogether;
}

// Consecutive tiles of 32 output columns of y = x * W^T for some rows.
struct MatMulTile {
  const uint32_t* weight;  // [words][32] of the first tile
  int64_t tile_bytes;      // from a tile to the next
  const uint32_t* x;       // as the product's pack_rows leaves it
  float* out;              // [rows][columns]
  int64_t words;           // of k
  int64_t rows;
  int64_t out_stride;  // elements
  int64_t columns;     // valid ones of all tiles: at least one of each
  float* sums;         // room for [tiles][RowsWithRest(rows)][32], from a line on
  // Of int8 only: what a unit of a row's bytes is worth. After the words of a tile stand what one
  // of a column's weights is worth, float [32], and the sums of the columns' weights, int32 [32].
  const float* row_scales;
};

// Rows on their way into the order in which a tile's loop reads them.
struct RowPacking {
  const void* in;  // [rows][row_bytes]
  int64_t stride_bytes;
  int64_t row_bytes;
  int64_t rows;
  int64_t words;       // of a row, rounded up
  int64_t first_word;  // of the part to pack; a multiple of kWordsOfLine
  int64_t end_word;    // the same, or `words`
  uint32_t* out;       // [RowsWithRest(rows) * PackedWords(words) * the product's packed_words]
};

// Room for a row's words once it is packed.
inline constexpr int64_t kWordsOfLine = kLineBytes / 4;
constexpr int64_t PackedWords(int64_t words) {
  return (words + kWordsOfLine - 1) / kWordsOfLine * kWordsOfLine;
}

// How rows are multiplied with the tiles of a weight: packed once, then some tiles at a time.
struct SimdProduct {
  void (*pack_rows)(const RowPacking& packing);
  void (*multiply)(const MatMulTile& tile);
  int64_t most_tiles;    // of one call
  int64_t packed_words;  // that a word of a row becomes
};

// Some query rows of a segment and one K/V head, against all keys they see.
struct AttentionItem {
  const float* q;      // first row's first head of the group
  const float* own_k;  // key and value of the segment's first row
  const float* own_v;
  void* out;              // first row's first head of the group
  float* scratch;         // AttentionScratchFloats(...) floats from the start of a line on
  const void* page_keys;  // [pages][kv_heads][page_size][head_dim]
  const void* page_values;
  const int32_t* page_table;
  int64_t page_stride;  // elements from page to page
  int64_t head_offset;  // elements from a page's start to this K/V head
  int64_t page_size;
  int64_t num_committed;  // keys that lie in pages: positions 0 .. num_committed - 1
  int64_t num_keys;       // that any of the rows sees; from num_committed on the segment's own rows
  int64_t first_row;      // within the segment
  int64_t num_rows;
  int64_t segment_rows;  // in all
  int64_t block_length;
  int64_t group;  // heads per K/V head
  int64_t head_dim;
  int64_t row_stride;  // floats from row to row of q, own_k and own_v
  int64_t out_stride;  // elements
  float scale;
  bool bfloat16;  // dtype of pages and out
  // Of the item that comes next: fetched after this one's last whole tile.
  const int32_t* next_page_table = nullptr;
  int64_t next_head_offset = 0;
  int64_t next_committed = 0;
};

// Keys are taken in tiles that start at multiples of this position.
inline constexpr int kKeyTile = 64;

// Scratch of one AttentionItem: a tile of keys in another order, or half of one of values, with own
// keys and values of two tiles or three; the queries and their sums; scores and weights of up to
// sixteen of them.
constexpr int64_t AttentionScratchFloats(int64_t query_rows, int64_t head_dim) {
  return 7 * kKeyTile / 2 * head_dim + RowsWithRest(query_rows) * (2 * head_dim + 2) +
         3 * kRowsTogether * kKeyTile;
}

struct SimdKernels {
  const char* name;
  SimdProduct bfloat16;
  SimdProduct float32;
  // x of unsigned bytes as quantize_row makes them with kZeroByte, weights of signed ones.
  SimdProduct int8;
  // Words of 32 columns, `stride` words apart, into a tile: out[w][c] = columns[c][w], w < count.
  void (*interleave)(const uint32_t* columns, int64_t stride, int64_t count, uint32_t* out);
  // out[i] = zero + round(x[i] / scale), scale = largest |x| / 127; all `zero` and 0 for zeros.
  void (*quantize_row)(const void* x, int64_t n, bool bfloat16, uint8_t zero, uint8_t* out,
                       float* scale);
  // residual += delta (may be null); out = norm(residual) * weight.
  void (*add_rms_norm)(const float* delta, const float* weight, float eps, int64_t n,
                       float* residual, void* out, bool bfloat16);
  // Normalises one head in place and rotates it by cos and sin [head_dim / 2].
  void (*norm_rope)(float* head, const float* weight, float eps, int64_t head_dim, const float* cos,
                    const float* sin);
  void (*round_bfloat16)(const float* in, int64_t n, uint16_t* out);
  void (*attention)(const AttentionItem& item);
  int32_t attention_rows;  // that it likes to take together
  void (*swiglu)(const float* gate, const float* up, int64_t n, void* out, bool bfloat16);
  // out += scale * in.
  void (*add_scaled)(const float* in, float scale, int64_t n, float* out);
  float (*max)(const float* z, int64_t n);
  // Sums of exp(z - max) and (z - max) exp(z - max).
  void (*exp_sums)(const float* z, int64_t n, float max, double* sum, double* weighted);
  // The words that Draw of common/draw_key.h gives for `count` groups: out [4 * count].
  void (*draw_groups)(uint64_t seed, uint32_t position, uint32_t step, uint32_t first_group,
                      int64_t count, uint32_t* out);
};

// One per instruction set; only those the build's architecture has are defined.
extern const SimdKernels kSimdPortable;
extern const SimdKernels kSimdAmxEmulated;  // AMX's products by portable loops
#if defined(__x86_64__)
extern const SimdKernels kSimdAvx2;
extern const SimdKernels kSimdAvx512;
extern const SimdKernels kSimdAvx512Bf16;
extern const SimdKernels kSimdAmx;
#endif

}  // namespace sdar
