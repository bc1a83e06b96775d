// SPDX-License-Identifier: Apache-2.0
// The matmul micro-kernel: 32 columns of a packed weight against up to kMaxRows rows held in
// registers. Every output element is summed over k in ascending order, whatever the number of rows.

constexpr int kVectors = kTileColumns / kLanes;  // vectors of one row's 32 columns
// Rows whose accumulators fit the register file together with the weight and the broadcast.
constexpr int kMaxRows = kLanes == 16 ? (SDAR_HAS_DOT ? 14 : 12) : (kLanes == 8 ? 3 : 1);
// Words of k that are multiplied with every block of rows before the next ones: 128 KiB of weights
// stay in the second-level cache meanwhile.
constexpr int64_t kStretchWords = 1024;
constexpr int64_t kWordBytes = kTileColumns * 4;  // of a tile, per word of k
// How far ahead of the multiplication weights are fetched when they are read once. Few rows wait
// for memory alone, and one stream of fetches into the first-level cache does best; with more rows
// the multiplications fill the time, and lines are kept coming by fetching them into the
// second-level cache long before (docs/performance/cpu.md has what was measured).
constexpr int kFewRows = 6;
constexpr int64_t kAheadBytes = 4096;
constexpr int64_t kFarBytes = 65536;
constexpr int64_t kNearBytes = 4096;

inline float AsFloat(uint32_t bits) {
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

// How one word of every row's x (x[0 .. kRows * kPacked)) multiplies one word of 32 columns: the
// products of the three weight dtypes. Pack writes a word of row `m` of `rows`.
struct PackedAsItIs {
  static constexpr int kPacked = 1;
  static void Pack(uint32_t word, int64_t, int64_t m, uint32_t* out) { out[m] = word; }
};

struct Float32Product : PackedAsItIs {
  using Sum = Vf;
  template <int kRows>
  static void Add(const uint32_t* w, const uint32_t* x, Sum (&sums)[kRows][kVectors]) {
    for (int v = 0; v < kVectors; ++v) {
      const Vf weight = reinterpret_cast<Vf>(LoadWords(w + v * kLanes));
      for (int m = 0; m < kRows; ++m) sums[m][v] += weight * AsFloat(x[m]);
    }
  }
};

// With the dot instruction the weights stay in registers and each row's pair is broadcast once: 28
// sums, 2 weights and a broadcast fit the 32 registers. Without it rows are widened to float32
// once, where they are packed: [even elements of the rows, odd ones].
#if SDAR_HAS_DOT
struct BFloat16Product : PackedAsItIs {
#else
struct BFloat16Product {
  static constexpr int kPacked = 2;
  static void Pack(uint32_t word, int64_t rows, int64_t m, uint32_t* out) {
    out[m] = word << 16;
    out[rows + m] = word & 0xFFFF0000u;
  }
#endif
  using Sum = Vf;
  template <int kRows>
  static void Add(const uint32_t* w, const uint32_t* x, Sum (&sums)[kRows][kVectors]) {
#if SDAR_HAS_DOT
    __m512bh weights[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + v * kLanes));
    }
    for (int m = 0; m < kRows; ++m) {
      const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x[m])));
      for (int v = 0; v < kVectors; ++v) {
        sums[m][v] = reinterpret_cast<Vf>(
            _mm512_dpbf16_ps(reinterpret_cast<__m512>(sums[m][v]), pair, weights[v]));
      }
    }
#else
    Vf even[kVectors], odd[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const Vu weight = LoadWords(w + v * kLanes);
      even[v] = reinterpret_cast<Vf>(weight << 16);
      odd[v] = reinterpret_cast<Vf>(weight & 0xFFFF0000u);
    }
    for (int m = 0; m < kRows; ++m) {
      for (int v = 0; v < kVectors; ++v) {
        sums[m][v] += even[v] * AsFloat(x[m]);
        sums[m][v] += odd[v] * AsFloat(x[kRows + m]);
      }
    }
#endif
  }
};

// Four unsigned bytes of x times four signed bytes of weight.
struct Int8Product : PackedAsItIs {
  using Sum = Vi;
  template <int kRows>
  static void Add(const uint32_t* w, const uint32_t* x, Sum (&sums)[kRows][kVectors]) {
#if SDAR_HAS_DOT
    __m512i weights[kVectors];
    for (int v = 0; v < kVectors; ++v) weights[v] = _mm512_loadu_si512(w + v * kLanes);
    for (int m = 0; m < kRows; ++m) {
      const __m512i bytes = _mm512_set1_epi32(static_cast<int>(x[m]));
      for (int v = 0; v < kVectors; ++v) {
        // As an instruction, not an intrinsic: GCC 12 copies the sums around the latter.
        Vi sum = sums[m][v];
        asm("vpdpbusd %1, %2, %0" : "+v"(sum) : "v"(weights[v]), "v"(bytes));
        sums[m][v] = sum;
      }
    }
#else
    for (int v = 0; v < kVectors; ++v) {
      const Vi weight = reinterpret_cast<Vi>(LoadWords(w + v * kLanes));
      for (int byte = 0; byte < 4; ++byte) {
        const Vi extended = weight << (24 - 8 * byte) >> 24;
        for (int m = 0; m < kRows; ++m) {
          sums[m][v] += extended * static_cast<int32_t>(x[m] >> (8 * byte) & 0xFFu);
        }
      }
    }
#endif
  }
};

// A block of rows and a stretch of k.
struct BlockWork {
  const uint32_t* weight;  // [words][32]
  const uint32_t* x;       // [words][the product's kPacked][rows of the block]
  int64_t words;
  float* out;           // first row
  const char* fetch;    // lines to fetch into the second-level cache meanwhile
  int64_t fetch_lines;  // < 0: the weights are read once, fetch them ahead of their use
};

// One row's sums to and from `out`, bit by bit. By way of a copy: an array whose address is taken
// would not stay in registers.
template <typename Sum>
inline void StoreRow(const Sum (&sums)[kVectors], int64_t columns, float* out) {
  Sum copy[kVectors];
  for (int v = 0; v < kVectors; ++v) copy[v] = sums[v];
  if (columns == kTileColumns) {
    __builtin_memcpy(out, copy, sizeof copy);
  } else {
    __builtin_memcpy(out, copy, static_cast<size_t>(columns) * 4);
  }
}

template <typename Sum>
inline void LoadRow(const float* out, int64_t columns, Sum (&sums)[kVectors]) {
  Sum copy[kVectors] = {};
  if (columns == kTileColumns) {
    __builtin_memcpy(copy, out, sizeof copy);
  } else {
    __builtin_memcpy(copy, out, static_cast<size_t>(columns) * 4);
  }
  for (int v = 0; v < kVectors; ++v) sums[v] = copy[v];
}

// Fetches a word's lines into the first-level cache, or into the second-level one.
inline void FetchNear(const char* word) {
  for (int64_t line = 0; line < kWordBytes; line += kLineBytes) {
    __builtin_prefetch(word + line, 0, 3);
  }
}
inline void FetchFar(const char* word) {
  for (int64_t line = 0; line < kWordBytes; line += kLineBytes) {
    __builtin_prefetch(word + line, 0, 2);
  }
}

// Fetches the lines of one row's sums before they are stored.
inline void FetchForStore(const float* out) {
  for (int c = 0; c < kTileColumns; c += kLineBytes / 4) __builtin_prefetch(out + c, 1, 3);
}

// The loop over the words of a stretch.
template <typename Product, int kRows>
inline void AddWords(const BlockWork& b, typename Product::Sum (&sums)[kRows][kVectors]) {
  constexpr int kStep = kRows * Product::kPacked;
  const uint32_t* w = b.weight;
  const uint32_t* x = b.x;
  if (b.fetch_lines < 0) {
    for (int64_t i = 0; i < b.words; ++i, w += kTileColumns, x += kStep) {
      const auto* word = reinterpret_cast<const char*>(w);
      if constexpr (kRows <= kFewRows) {
        FetchNear(word + kAheadBytes);
      } else {
        FetchFar(word + kFarBytes);
        FetchNear(word + kNearBytes);
      }
      Product::template Add<kRows>(w, x, sums);
    }
    return;
  }
  const char* fetch = b.fetch;
  const char* const end = fetch + b.fetch_lines * kLineBytes;
  for (int64_t i = 0; i < b.words; ++i, w += kTileColumns, x += kStep) {
    if (fetch < end) __builtin_prefetch(fetch, 0, 2);
    fetch += kLineBytes;
    FetchNear(reinterpret_cast<const char*>(w) + kNearBytes);
    Product::template Add<kRows>(w, x, sums);
  }
}

// A function of its own: in one with fourteen such loops the compiler runs out of registers.
template <typename Product, int kRows>
__attribute__((noinline)) void RunBlock(const MatMulTile& t, const BlockWork& b, bool first) {
  typename Product::Sum sums[kRows][kVectors];
  // Sums that are stored into lines of another core or of memory would hold up what follows.
  for (int m = 0; m < kRows; ++m) FetchForStore(b.out + m * t.out_stride);
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kVectors; ++v) sums[m][v] = typename Product::Sum{};
    if (!first) LoadRow(b.out + m * t.out_stride, t.columns, sums[m]);
  }
  AddWords<Product, kRows>(b, sums);
  for (int m = 0; m < kRows; ++m) StoreRow(sums[m], t.columns, b.out + m * t.out_stride);
}

// Runs the instantiation for exactly `rows` rows, 1 .. kRows.
template <typename Product, int kRows>
void RunBlockOf(const MatMulTile& t, const BlockWork& b, int64_t rows, bool first) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return RunBlockOf<Product, kRows - 1>(t, b, rows, first);
  }
  RunBlock<Product, kRows>(t, b, first);
}

// Blocks of at most kMaxRows rows, as equal as can be: a block of few would leave the arithmetic
// waiting for itself.
struct RowBlocks {
  explicit RowBlocks(int64_t num_rows)
      : rows(num_rows), count((num_rows + kMaxRows - 1) / kMaxRows) {}
  int64_t Begin(int64_t block) const { return rows * block / count; }

  int64_t rows;
  int64_t count;
};

template <typename Product>
void MultiplyTile(const MatMulTile& t) {
  const RowBlocks blocks(t.rows);
  const int64_t stretch = blocks.count == 1 ? t.words : kStretchWords;
  for (int64_t word = 0; word < t.words; word += stretch) {
    const int64_t words = t.words - word < stretch ? t.words - word : stretch;
    const uint32_t* weight = t.weight + word * kTileColumns;
    const int64_t lines = words * kWordBytes / kLineBytes;
    for (int64_t i = 0; i < blocks.count; ++i) {
      const int64_t begin = blocks.Begin(i);
      const int64_t rows = blocks.Begin(i + 1) - begin;
      BlockWork b;
      b.weight = weight;
      b.x = t.x + (begin * t.words + word * rows) * Product::kPacked;
      b.words = words;
      b.out = t.out + begin * t.out_stride;
      // The next stretch follows this one in memory, and is usually as long.
      b.fetch = reinterpret_cast<const char*>(weight + words * kTileColumns) +
                lines * i / blocks.count * kLineBytes;
      b.fetch_lines =
          blocks.count == 1 ? -1 : lines * (i + 1) / blocks.count - lines * i / blocks.count;
      RunBlockOf<Product, kMaxRows>(t, b, rows, word == 0);
    }
  }
}

// Turns integer sums into floats: the unsigned bytes were 128 too large.
template <void (*kMultiply)(const MatMulTile&)>
void MultiplyInt8(const MatMulTile& t) {
  kMultiply(t);
  const char* tile = reinterpret_cast<const char*>(t.weight);
  for (int64_t first = 0; first < t.columns; first += kTileColumns, tile += t.tile_bytes) {
    const auto* scales = reinterpret_cast<const float*>(tile + t.words * kWordBytes);
    const auto* column_sums = reinterpret_cast<const int32_t*>(scales + kTileColumns);
    const int64_t left = t.columns - first;
    const int64_t columns = left < kTileColumns ? left : kTileColumns;
    for (int64_t row = 0; row < t.rows; ++row) {
      float* out = t.out + row * t.out_stride + first;
      int32_t sums[kTileColumns];
      __builtin_memcpy(sums, out, static_cast<size_t>(columns) * 4);
      for (int64_t c = 0; c < columns; ++c) {
        const auto sum = static_cast<float>(sums[c] - kZeroByte * column_sums[c]);
        out[c] = sum * (t.row_scales[row] * scales[c]);
      }
    }
  }
}

// Writes the words [first, end) of every row where MultiplyTile reads them.
template <typename Product>
void PackRows(const RowPacking& p) {
  constexpr int64_t kAtOnce = 16;  // words of a row read together: one line
  const RowBlocks blocks(p.rows);
  const int64_t whole = p.row_bytes / 4;
  const auto* in = static_cast<const char*>(p.in);
  for (int64_t i = 0; i < blocks.count; ++i) {
    const int64_t begin = blocks.Begin(i);
    const int64_t rows = blocks.Begin(i + 1) - begin;
    uint32_t* out = p.out + begin * p.words * Product::kPacked;
    for (int64_t word = p.first_word; word < p.end_word; word += kAtOnce) {
      const int64_t end = word + kAtOnce < p.end_word ? word + kAtOnce : p.end_word;
      for (int64_t m = 0; m < rows; ++m) {
        const char* row = in + (begin + m) * p.stride_bytes;
        for (int64_t w = word; w < end; ++w) {
          uint32_t bits = 0;
          if (w < whole) {
            __builtin_memcpy(&bits, row + 4 * w, 4);
          } else {
            __builtin_memcpy(&bits, row + 4 * w, static_cast<size_t>(p.row_bytes - 4 * w));
          }
          Product::Pack(bits, rows, m, out + w * rows * Product::kPacked);
        }
      }
    }
  }
}

// out[w][c] = columns[c][w] for w < count: the order of a tile.
void Interleave(const uint32_t* columns, int64_t stride, int64_t count, uint32_t* out) {
  int64_t w = 0;
  for (; w + kLanes <= count; w += kLanes) {
    for (int c = 0; c < kTileColumns; c += kLanes) {
      Vu square[kLanes];
      for (int i = 0; i < kLanes; ++i) square[i] = LoadWords(columns + (c + i) * stride + w);
      Transpose(square);
      for (int i = 0; i < kLanes; ++i) StoreWords(out + (w + i) * kTileColumns + c, square[i]);
    }
  }
  for (; w < count; ++w) {
    for (int c = 0; c < kTileColumns; ++c) out[w * kTileColumns + c] = columns[c * stride + w];
  }
}
