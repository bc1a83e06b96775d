// SPDX-License-Identifier: Apache-2.0
// Products by tiles: 32 columns of a packed weight, which are two tiles as they lie in memory,
// against up to 32 rows. A chunk is what one product of tiles takes: 16 words of k. Every sum goes
// over the chunks in ascending order, whatever the number of rows.

// Rows whose sums are held in tiles while a stretch of k passes.
constexpr int64_t kTilesRows = 2 * kTileRows;
constexpr int64_t kChunkBytes = kTileWords * kTileColumns * 4;  // of weights
// Chunks that are multiplied with every block of rows before the next ones: 32 KiB of weights stay
// in the first-level cache meanwhile.
constexpr int64_t kStretchChunks = 16;
// How far ahead weights are fetched when they are read once: loads of tiles do not start the
// processor's own fetching.
constexpr int64_t kTileAheadBytes = 8192;

constexpr int64_t ChunksOf(int64_t words) { return (words + kTileWords - 1) / kTileWords; }

struct BFloat16Tiles {
  template <int kC, int kA, int kB>
  static void Add(Tiles& tiles) {
    tiles.AddBFloat16<kC, kA, kB>();
  }
};
struct Int8Tiles {
  template <int kC, int kA, int kB>
  static void Add(Tiles& tiles) {
    tiles.AddBytes<kC, kA, kB>();
  }
};

// A block of rows as PackTileRows leaves it, [chunks][rows][16 words], and a stretch of k.
struct TileBlock {
  const char* weight;  // the stretch's first chunk
  const char* x;
  float* out;  // first row
  int64_t rows;
  int64_t chunks;
  int64_t tail_words;  // of the last chunk; kTileWords: it is whole
  const char* fetch;   // lines to fetch into the second-level cache meanwhile
  int64_t fetch_lines;  // < 0: the weights are read once, fetch them ahead of their use
};

// Tiles 0 .. 3 are sums (rows, then columns), 4 and 5 rows of x, 6 and 7 columns of weights.
inline Tiles TilesFor(int64_t rows) {
  const auto first = static_cast<uint8_t>(rows < kTileRows ? rows : kTileRows);
  const auto second = static_cast<uint8_t>(rows > kTileRows ? rows - kTileRows : 1);
  const uint8_t shape[8] = {first, first, second, second, first, second, kTileRows, kTileRows};
  return Tiles(shape);
}

template <typename Dot, bool kTwo>
inline void AddChunk(Tiles& tiles, const char* weight, const char* x) {
  tiles.Load<6>(weight, kTileColumns * 4);
  tiles.Load<4>(x, kTileRowBytes);
  Dot::template Add<0, 4, 6>(tiles);
  tiles.Load<7>(weight + kTileRowBytes, kTileColumns * 4);
  Dot::template Add<1, 4, 7>(tiles);
  if constexpr (kTwo) {
    tiles.Load<5>(x + kTileRows * kTileRowBytes, kTileRowBytes);
    Dot::template Add<2, 5, 6>(tiles);
    Dot::template Add<3, 5, 7>(tiles);
  }
}

// Sums to and from memory.
template <bool kTwo>
inline void LoadSums(Tiles& tiles, const float* out, int64_t stride) {
  tiles.Load<0>(out, stride);
  tiles.Load<1>(out + kTileWords, stride);
  if constexpr (kTwo) {
    const float* second = out + kTileRows * (stride / 4);
    tiles.Load<2>(second, stride);
    tiles.Load<3>(second + kTileWords, stride);
  }
}
template <bool kTwo>
inline void StoreSums(const Tiles& tiles, float* out, int64_t stride) {
  tiles.Store<0>(out, stride);
  tiles.Store<1>(out + kTileWords, stride);
  if constexpr (kTwo) {
    float* second = out + kTileRows * (stride / 4);
    tiles.Store<2>(second, stride);
    tiles.Store<3>(second + kTileWords, stride);
  }
}

// The same by way of a copy, where a tile has fewer than 32 columns.
inline void CopySums(const float* from, int64_t from_stride, int64_t rows, int64_t columns,
                     float* to, int64_t to_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    __builtin_memcpy(to + r * to_stride, from + r * from_stride, static_cast<size_t>(columns) * 4);
  }
}

template <typename Dot, bool kTwo>
inline void AddStretch(Tiles& tiles, const TileBlock& b) {
  const int64_t whole = b.tail_words == kTileWords ? b.chunks : b.chunks - 1;
  const char* weight = b.weight;
  const char* x = b.x;
  const int64_t x_bytes = b.rows * kTileRowBytes;
  const char* fetch = b.fetch;
  const char* const end = fetch + b.fetch_lines * kLineBytes;
  const int64_t share = b.fetch_lines < 0 ? 0 : (b.fetch_lines + whole - 1) / (whole + (whole == 0));
  for (int64_t i = 0; i < whole; ++i, weight += kChunkBytes, x += x_bytes) {
    if (b.fetch_lines < 0) {
      for (int64_t at = 0; at < kChunkBytes; at += kLineBytes) {
        __builtin_prefetch(weight + kTileAheadBytes + at, 0, 3);
      }
    } else {
      for (int64_t line = 0; line < share && fetch < end; ++line, fetch += kLineBytes) {
        __builtin_prefetch(fetch, 0, 2);
      }
    }
    AddChunk<Dot, kTwo>(tiles, weight, x);
  }
  if (whole == b.chunks) return;
  // What lies after the last words is another tile's, or nobody's.
  alignas(kLineBytes) char tail[kChunkBytes] = {};
  __builtin_memcpy(tail, weight, static_cast<size_t>(b.tail_words) * kTileColumns * 4);
  AddChunk<Dot, kTwo>(tiles, tail, x);
}

template <typename Dot, bool kTwo>
void RunTileBlock(Tiles& tiles, const MatMulTile& t, const TileBlock& b, bool first) {
  alignas(kLineBytes) float copy[kTilesRows * kTileColumns];
  const bool whole = t.columns == kTileColumns;
  float* sums = whole ? b.out : copy;
  const int64_t stride = whole ? t.out_stride : kTileColumns;
  if (first) {
    tiles.Clear<0>();
    tiles.Clear<1>();
    if constexpr (kTwo) {
      tiles.Clear<2>();
      tiles.Clear<3>();
    }
  } else {
    if (!whole) CopySums(b.out, t.out_stride, b.rows, t.columns, copy, kTileColumns);
    LoadSums<kTwo>(tiles, sums, stride * 4);
  }
  AddStretch<Dot, kTwo>(tiles, b);
  StoreSums<kTwo>(tiles, sums, stride * 4);
  if (!whole) CopySums(copy, kTileColumns, b.rows, t.columns, b.out, t.out_stride);
}

// Blocks of `rows` rows each from row `begin` on, with a stretch of k after the other.
template <typename Dot>
void RunTileBlocks(const MatMulTile& t, int64_t begin, int64_t rows, int64_t count, bool alone) {
  Tiles tiles = TilesFor(rows);
  const int64_t chunks = ChunksOf(t.words);
  const int64_t stretch = count == 1 ? chunks : kStretchChunks;
  for (int64_t chunk = 0; chunk < chunks; chunk += stretch) {
    TileBlock b;
    b.rows = rows;
    b.weight = reinterpret_cast<const char*>(t.weight) + chunk * kChunkBytes;
    b.chunks = chunks - chunk < stretch ? chunks - chunk : stretch;
    b.tail_words = chunk + b.chunks < chunks ? kTileWords : t.words - (chunks - 1) * kTileWords;
    // The next stretch follows this one in memory, and is usually as long.
    const int64_t lines = count == 1 ? 0 : b.chunks * kChunkBytes / kLineBytes;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first_row = begin + i * rows;
      b.x = reinterpret_cast<const char*>(t.x) +
            (first_row * chunks + chunk * rows) * kTileRowBytes;
      b.out = t.out + first_row * t.out_stride;
      b.fetch = b.weight + b.chunks * kChunkBytes + lines * i / count * kLineBytes;
      b.fetch_lines = alone ? -1 : lines * (i + 1) / count - lines * i / count;
      if (rows > kTileRows) {
        RunTileBlock<Dot, true>(tiles, t, b, chunk == 0);
      } else {
        RunTileBlock<Dot, false>(tiles, t, b, chunk == 0);
      }
    }
  }
}

// Whole blocks first; the rest have a file of tiles of their own shape.
template <typename Dot>
void MultiplyByTiles(const MatMulTile& t) {
  const int64_t blocks = t.rows / kTilesRows, rest = t.rows % kTilesRows;
  const bool alone = blocks + (rest > 0) == 1;
  if (blocks > 0) RunTileBlocks<Dot>(t, 0, kTilesRows, blocks, alone);
  if (rest > 0) RunTileBlocks<Dot>(t, blocks * kTilesRows, rest, 1, alone);
}

// Writes the words [first, end) of every row where MultiplyByTiles reads them: first a multiple of
// 16, and zeros after the last.
void PackTileRows(const RowPacking& p) {
  const int64_t chunks = ChunksOf(p.words);
  for (int64_t begin = 0; begin < p.rows; begin += kTilesRows) {
    const int64_t rows = p.rows - begin < kTilesRows ? p.rows - begin : kTilesRows;
    char* block = reinterpret_cast<char*>(p.out) + begin * chunks * kTileRowBytes;
    for (int64_t chunk = p.first_word / kTileWords; chunk < ChunksOf(p.end_word); ++chunk) {
      const int64_t at = chunk * kTileRowBytes;
      const int64_t left = p.row_bytes - at;
      const char* in = static_cast<const char*>(p.in) + begin * p.stride_bytes + at;
      char* out = block + chunk * rows * kTileRowBytes;
      for (int64_t m = 0; m < rows; ++m, in += p.stride_bytes, out += kTileRowBytes) {
        if (left >= kTileRowBytes) {
          __builtin_memcpy(out, in, kTileRowBytes);
        } else {
          __builtin_memset(out, 0, kTileRowBytes);
          __builtin_memcpy(out, in, static_cast<size_t>(left));
        }
      }
    }
  }
}
