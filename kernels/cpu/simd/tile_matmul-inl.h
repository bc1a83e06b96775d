// SPDX-License-Identifier: Apache-2.0
// Products by tiles: 32 columns of a packed weight are two tiles as they lie in memory, 16 rows of
// x are one once they are packed. A chunk is what one product of tiles takes: 16 words of k. Every
// sum goes over the chunks in ascending order, whatever the number of rows.

constexpr int64_t kChunkBytes = kTileWords * kTileColumns * 4;  // of weights
constexpr int64_t kSquareBytes = kTileRows * kTileRowBytes;     // of a tile: of 16 rows, or of sums
// Chunks that are multiplied with all rows before the next ones. Of many rows the weights of such a
// stretch, 32 KiB, stay in the first-level cache, and all rows' part of it in the second, which it
// passes through the first by. Of fewer both stay in the first, which leaves the way between the
// two to weights that come from memory.
constexpr int64_t kFewerRows = 128;
constexpr int64_t StretchOf(int64_t rows) { return rows <= kFewerRows ? 8 : 16; }
// How far ahead weights are fetched when they are read once: loads of tiles do not start the
// processor's own fetching.
constexpr int64_t kTileAheadBytes = 4096;
// Tiles of a weight that share what it costs to bring all rows of a stretch.
constexpr int64_t kMostTiles = 8;

constexpr int64_t ChunksOf(int64_t words) { return (words + kTileWords - 1) / kTileWords; }

inline int64_t ChunksInStretch(int64_t words, int64_t rows, int64_t first) {
  const int64_t left = ChunksOf(words) - first;
  return left < StretchOf(rows) ? left : StretchOf(rows);
}

inline void FetchChunk(const char* weight) {
  for (int64_t at = 0; at < kChunkBytes; at += kLineBytes) __builtin_prefetch(weight + at, 0, 3);
}

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

// Tiles 0 .. 3 are sums (of rows, then columns), 4 and 5 rows of x, 6 and 7 columns of weights.
struct TileShape {
  explicit TileShape(int64_t rows_of_x) {
    const auto r = static_cast<uint8_t>(rows_of_x < kTileRows ? rows_of_x : kTileRows);
    for (int t = 0; t < 6; ++t) rows[t] = r;
    rows[6] = rows[7] = kTileRows;
  }
  uint8_t rows[8];
};

// Rows of x into tile kTile; kPass: they are not to stay in the first-level cache.
template <int kTile, bool kPass>
inline void LoadRows(Tiles& tiles, const char* x) {
  if constexpr (kPass) {
    tiles.LoadPassing<kTile>(x, kTileRowBytes);
  } else {
    tiles.Load<kTile>(x, kTileRowBytes);
  }
}

// Adds products to the sums of one or two tiles of rows of x, which lie `apart` bytes from each
// other.
template <typename Dot, bool kTwo, bool kPass = true>
inline void AddChunk(Tiles& tiles, const char* weight, const char* x, int64_t apart) {
  tiles.Load<6>(weight, kTileColumns * 4);
  LoadRows<4, kPass>(tiles, x);
  Dot::template Add<0, 4, 6>(tiles);
  tiles.Load<7>(weight + kTileRowBytes, kTileColumns * 4);
  Dot::template Add<1, 4, 7>(tiles);
  if constexpr (kTwo) {
    LoadRows<5, kPass>(tiles, x + apart);
    Dot::template Add<2, 5, 6>(tiles);
    Dot::template Add<3, 5, 7>(tiles);
  }
}

template <bool kTwo>
inline void ClearSums(Tiles& tiles) {
  tiles.Clear<0>();
  tiles.Clear<1>();
  if constexpr (kTwo) {
    tiles.Clear<2>();
    tiles.Clear<3>();
  }
}

// Sums to and from memory, square after square.
template <bool kTwo>
inline void LoadSums(Tiles& tiles, const char* sums) {
  tiles.Load<0>(sums, kTileRowBytes);
  tiles.Load<1>(sums + kSquareBytes, kTileRowBytes);
  if constexpr (kTwo) {
    tiles.Load<2>(sums + 2 * kSquareBytes, kTileRowBytes);
    tiles.Load<3>(sums + 3 * kSquareBytes, kTileRowBytes);
  }
}
template <bool kTwo>
inline void StoreSums(const Tiles& tiles, char* sums) {
  tiles.Store<0>(sums, kTileRowBytes);
  tiles.Store<1>(sums + kSquareBytes, kTileRowBytes);
  if constexpr (kTwo) {
    tiles.Store<2>(sums + 2 * kSquareBytes, kTileRowBytes);
    tiles.Store<3>(sums + 3 * kSquareBytes, kTileRowBytes);
  }
}

// Sums to where they belong, a row after the other: [tiles][rows / 16][2] squares.
inline void MoveSums(const MatMulTile& t, const char* sums) {
  const int64_t tile_bytes = (t.rows + kTileRows - 1) / kTileRows * 2 * kSquareBytes;
  for (int64_t r = 0; r < t.rows; ++r) {
    float* out = t.out + r * t.out_stride;
    const char* row = sums + r / kTileRows * 2 * kSquareBytes + r % kTileRows * kTileRowBytes;
    int64_t left = t.columns;
    for (; left >= kTileColumns; left -= kTileColumns, row += tile_bytes, out += kTileColumns) {
      __builtin_memcpy(out, row, kTileRowBytes);
      __builtin_memcpy(out + kTileWords, row + kSquareBytes, kTileRowBytes);
    }
    for (; left > 0; left -= kTileWords, row += kSquareBytes, out += kTileWords) {
      const int64_t columns = left < kTileWords ? left : kTileWords;
      __builtin_memcpy(out, row, static_cast<size_t>(columns) * 4);
    }
  }
}

// The chunks of a stretch of one tile's weights.
struct TileStretch {
  const char* weight;
  const char* last;  // the last chunk, where it is a copy; otherwise null
  const char* x;     // of the first rows
  int64_t apart;     // bytes from rows to the next 16
  int64_t chunks;
};

// The last words of a tile: what lies after them is another tile's, or nobody's.
struct LastChunk {
  LastChunk(const char* from, int64_t words) {
    __builtin_memcpy(weight, from, static_cast<size_t>(words) * kTileColumns * 4);
  }
  alignas(kLineBytes) char weight[kChunkBytes] = {};
};

// Adds products to the sums of one tile of rows and two tiles of weights, `apart` bytes from each
// other.
template <typename Dot>
inline void AddChunkOfTwo(Tiles& tiles, const char* weight, int64_t apart, const char* x) {
  tiles.LoadPassing<4>(x, kTileRowBytes);
  tiles.Load<6>(weight, kTileColumns * 4);
  Dot::template Add<0, 4, 6>(tiles);
  tiles.Load<7>(weight + kTileRowBytes, kTileColumns * 4);
  Dot::template Add<1, 4, 7>(tiles);
  tiles.Load<6>(weight + apart, kTileColumns * 4);
  Dot::template Add<2, 4, 6>(tiles);
  tiles.Load<7>(weight + apart + kTileRowBytes, kTileColumns * 4);
  Dot::template Add<3, 4, 7>(tiles);
}

// One tile of rows, one or two tiles of weights, which are read once; sums stay in their tiles. Two
// tiles are two streams of memory, which come faster than one.
template <typename Dot, bool kTwo>
inline void MultiplyOneTileOfRows(Tiles& tiles, const MatMulTile& t, char* sums) {
  const char* weight = reinterpret_cast<const char*>(t.weight);
  const char* x = reinterpret_cast<const char*>(t.x);
  const int64_t tail = t.words % kTileWords, rows = t.rows < kTileRows ? t.rows : kTileRows;
  ClearSums<kTwo>(tiles);
  for (int64_t i = 0; i < t.words / kTileWords; ++i) {
    FetchChunk(weight + kTileAheadBytes);
    if constexpr (kTwo) {
      FetchChunk(weight + t.tile_bytes + kTileAheadBytes);
      AddChunkOfTwo<Dot>(tiles, weight, t.tile_bytes, x);
    } else {
      AddChunk<Dot, false>(tiles, weight, x, 0);
    }
    weight += kChunkBytes;
    x += rows * kTileRowBytes;
  }
  if (tail > 0) {
    const LastChunk chunks[2] = {LastChunk(weight, tail),
                                 LastChunk(weight + (kTwo ? t.tile_bytes : 0), tail)};
    if constexpr (kTwo) {
      AddChunkOfTwo<Dot>(tiles, chunks[0].weight, chunks[1].weight - chunks[0].weight, x);
    } else {
      AddChunk<Dot, false>(tiles, chunks[0].weight, x, 0);
    }
  }
  StoreSums<kTwo>(tiles, sums);
}

// The same for two tiles of rows.
template <typename Dot>
inline void MultiplyTwoTilesOfRows(Tiles& tiles, const MatMulTile& t, char* sums) {
  const char* weight = reinterpret_cast<const char*>(t.weight);
  const char* x = reinterpret_cast<const char*>(t.x);
  const int64_t whole = t.words / kTileWords, tail = t.words % kTileWords;
  ClearSums<true>(tiles);
  for (int64_t chunk = 0; chunk < ChunksOf(t.words); chunk += StretchOf(t.rows)) {
    const int64_t chunks = ChunksInStretch(t.words, t.rows, chunk);
    const int64_t apart = chunks * kSquareBytes;
    for (int64_t i = 0; i < chunks; ++i, x += kSquareBytes, weight += kChunkBytes) {
      if (chunk + i == whole) {
        AddChunk<Dot, true>(tiles, LastChunk(weight, tail).weight, x, apart);
      } else {
        FetchChunk(weight + kTileAheadBytes);
        AddChunk<Dot, true>(tiles, weight, x, apart);
      }
    }
    x += apart;
  }
  StoreSums<true>(tiles, sums);
}

// At most two tiles of rows.
template <typename Dot>
void MultiplyFewRows(const MatMulTile& t) {
  const TileShape shape(t.rows);
  Tiles tiles(shape.rows);
  alignas(kLineBytes) char sums[4 * kSquareBytes];
  MatMulTile part = t;
  const int64_t together = t.rows <= kTileRows ? 2 * kTileColumns : kTileColumns;
  for (int64_t first = 0; first < t.columns; first += together) {
    part.columns = t.columns - first < together ? t.columns - first : together;
    if (t.rows > kTileRows) {
      MultiplyTwoTilesOfRows<Dot>(tiles, part, sums);
    } else if (part.columns > kTileColumns) {
      MultiplyOneTileOfRows<Dot, true>(tiles, part, sums);
    } else {
      MultiplyOneTileOfRows<Dot, false>(tiles, part, sums);
    }
    MoveSums(part, sums);
    part.weight += together / kTileColumns * t.tile_bytes / 4;
    part.out += together;
  }
}

// Lines that come next, fetched into the second-level cache while others are multiplied. They come
// from several pages at a time: the processor's own fetching runs ahead in every page that is being
// read, and one page alone would not fill the time that memory takes.
struct LineFetch {
  LineFetch(const char* from, int64_t bytes) : begin(from), lines(bytes / kLineBytes) {}
  // Fetches the next lines, up to part / parts of all.
  void Until(int64_t part, int64_t parts) {
    for (const int64_t end = lines * part / parts; next < end; ++next) {
      const int64_t line = next % kStreams * (lines / kStreams) + next / kStreams;
      __builtin_prefetch(begin + line * kLineBytes, 0, 2);
    }
  }

  static constexpr int64_t kStreams = 4;
  const char* begin;
  int64_t lines;  // a multiple of kStreams
  int64_t next = 0;
};

// A stretch and one or two tiles of rows, the `part`th of `parts`.
template <typename Dot, bool kTwo, bool kPass>
inline void AddStretch(Tiles& tiles, const TileStretch& s, int64_t part, int64_t parts, bool first,
                       LineFetch& fetch, char* sums) {
  if (first) {
    ClearSums<kTwo>(tiles);
  } else {
    LoadSums<kTwo>(tiles, sums);
  }
  const char* x = s.x + 2 * part * s.apart;
  for (int64_t i = 0; i < s.chunks; ++i) {
    fetch.Until(part * s.chunks + i + 1, parts * s.chunks);
    const bool is_copy = s.last != nullptr && i + 1 == s.chunks;
    AddChunk<Dot, kTwo, kPass>(tiles, is_copy ? s.last : s.weight + i * kChunkBytes,
                               x + i * kSquareBytes, s.apart);
  }
  StoreSums<kTwo>(tiles, sums);
}

template <typename Dot, bool kPass>
void AddAllRows(Tiles& tiles, const TileStretch& s, int64_t row_tiles, bool first, LineFetch fetch,
                char* sums) {
  const int64_t pairs = (row_tiles + 1) / 2;
  for (int64_t i = 0; i < pairs; ++i, sums += 4 * kSquareBytes) {
    if (2 * i + 1 < row_tiles) {
      AddStretch<Dot, true, kPass>(tiles, s, i, pairs, first, fetch, sums);
    } else {
      AddStretch<Dot, false, kPass>(tiles, s, i, pairs, first, fetch, sums);
    }
  }
}

// Any number of rows: stretch by stretch, sums in t.sums meanwhile, [tiles][rows / 16][2] squares.
template <typename Dot, bool kPass>
void MultiplyManyRows(const MatMulTile& t) {
  const TileShape shape(kTileRows);
  Tiles tiles(shape.rows);
  const int64_t row_tiles = (t.rows + kTileRows - 1) / kTileRows;
  const int64_t num_tiles = (t.columns + kTileColumns - 1) / kTileColumns;
  const int64_t chunks = ChunksOf(t.words), tail = t.words % kTileWords;
  const auto* weight = reinterpret_cast<const char*>(t.weight);
  auto* const sums = reinterpret_cast<char*>(t.sums);
  TileStretch s;
  s.x = reinterpret_cast<const char*>(t.x);
  for (int64_t chunk = 0; chunk < chunks; chunk += StretchOf(t.rows)) {
    s.chunks = ChunksInStretch(t.words, t.rows, chunk);
    s.apart = s.chunks * kSquareBytes;
    const bool has_tail = tail > 0 && chunk + s.chunks == chunks;
    for (int64_t tile = 0; tile < num_tiles; ++tile) {
      s.weight = weight + tile * t.tile_bytes + chunk * kChunkBytes;
      const char* next = tile + 1 < num_tiles ? s.weight + t.tile_bytes
                                              : weight + (chunk + s.chunks) * kChunkBytes;
      const LastChunk copy(s.weight + (s.chunks - 1) * kChunkBytes, has_tail ? tail : 0);
      s.last = has_tail ? copy.weight : nullptr;
      const LineFetch fetch(next, s.chunks * kChunkBytes);
      AddAllRows<Dot, kPass>(tiles, s, row_tiles, chunk == 0, fetch,
                             sums + tile * row_tiles * 2 * kSquareBytes);
    }
    s.x += row_tiles * s.apart;
  }
  MoveSums(t, sums);
}

template <typename Dot>
void MultiplyByTiles(const MatMulTile& t) {
  if (t.rows <= 2 * kTileRows) return MultiplyFewRows<Dot>(t);
  if (t.rows <= kFewerRows) return MultiplyManyRows<Dot, false>(t);
  MultiplyManyRows<Dot, true>(t);
}

// Writes the words [first, end) of every row where MultiplyByTiles reads them, and zeros after the
// last: [stretches][rows / 16][chunks][16 rows][16 words]. Where there are more than 16 rows,
// missing ones are zeros.
void PackTileRows(const RowPacking& p) {
  const int64_t row_tiles = (p.rows + kTileRows - 1) / kTileRows;
  const int64_t rows = p.rows < kTileRows ? p.rows : kTileRows;
  for (int64_t chunk = p.first_word / kTileWords; chunk < ChunksOf(p.end_word); ++chunk) {
    const int64_t stretch = chunk / StretchOf(p.rows) * StretchOf(p.rows);
    const int64_t at = chunk * kTileRowBytes, left = p.row_bytes - at;
    const auto bytes = static_cast<size_t>(left < kTileRowBytes ? left : kTileRowBytes);
    const char* in = static_cast<const char*>(p.in) + at;
    for (int64_t i = 0; i < row_tiles; ++i) {
      const int64_t before = stretch * row_tiles + i * ChunksInStretch(p.words, p.rows, stretch);
      char* out =
          reinterpret_cast<char*>(p.out) + (before + chunk - stretch) * rows * kTileRowBytes;
      for (int64_t m = 0; m < rows; ++m, out += kTileRowBytes) {
        const int64_t row = i * kTileRows + m;
        const bool is_whole = row < p.rows && left >= kTileRowBytes;
        if (is_whole) {
          __builtin_memcpy(out, in + row * p.stride_bytes, kTileRowBytes);
        } else {
          __builtin_memset(out, 0, kTileRowBytes);
          if (row < p.rows) __builtin_memcpy(out, in + row * p.stride_bytes, bytes);
        }
      }
    }
  }
}
