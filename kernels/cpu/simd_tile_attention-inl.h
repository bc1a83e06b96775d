// SPDX-License-Identifier: Apache-2.0
// Attention in bfloat16 by tiles. Sixteen query rows are the columns of a tile. Scores come
// transposed, keys as they lie in memory times queries in pairs, so that maxima, weights and their
// sums go over the positions of a query by whole vectors. Weights turn round once and multiply
// values in pairs of positions. Tiles of keys, running maxima and the independence from other rows
// are those of simd_attention-inl.h; weights of values are rounded to bfloat16, those of even
// positions and of odd ones are summed apart, and products are summed as tiles sum them.

constexpr int kSquare = kTileRows * kTileWords;        // floats or words of a tile
constexpr int kKeyTiles = kKeyTile / kTileRows;        // of 16 keys
constexpr int kPairTiles = kKeyTile / 2 / kTileWords;  // of 16 pairs of positions

typedef uint16_t Halves __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalvesUnaligned __attribute__((vector_size(kLanes * 4), aligned(2), may_alias));

// What one item works in.
struct TileScratch {
  char* own;          // [2][kKeyTile][head_dim]: keys and values that do not lie in pages
  uint32_t* values;   // [head_dim / 16][kPairTiles] squares: pairs of positions, columns by twos of
                      // four in turn (PairValues)
  uint32_t* queries;  // [groups of rows][head_dim / 32] squares: pairs of dimensions, rows
  float* acc;         // [groups][head_dim / 16] squares: rows, columns as those of values
  float* max;         // [groups][16]
  float* sum;         // [groups][16]
  float* scores;      // [kKeyTile][16 rows]
  uint32_t* weights;  // [kPairTiles] squares: rows, pairs of positions
};

inline int64_t TileGroups(const AttentionItem& a) {
  return (a.num_rows * a.group + kTileRows - 1) / kTileRows;
}

inline TileScratch DivideTileScratch(const AttentionItem& a) {
  const int64_t groups = TileGroups(a), d = a.head_dim;
  TileScratch s;
  s.own = reinterpret_cast<char*>(a.scratch);
  float* values = a.scratch + kKeyTile * d;
  s.values = reinterpret_cast<uint32_t*>(values);
  float* queries = values + kKeyTile / 2 * d;
  s.queries = reinterpret_cast<uint32_t*>(queries);
  s.acc = queries + groups * kTileRows * d / 2;
  s.max = s.acc + groups * kTileRows * d;
  s.sum = s.max + groups * kTileRows;
  s.scores = s.sum + groups * kTileRows;
  s.weights = reinterpret_cast<uint32_t*>(s.scores + kKeyTile * kTileRows);
  return s;
}

// Rows that fill up the last group are zeros.
inline void PackTileQueries(const AttentionItem& a, const TileScratch& s) {
  const int64_t query_rows = a.num_rows * a.group, words = a.head_dim / 2;
  auto* rounded = reinterpret_cast<uint16_t*>(s.own);  // no keys are there yet
  for (int64_t i = 0; i < TileGroups(a) * kTileRows; ++i) {
    if (i < query_rows) {
      RoundBf16(QueryRow(a, i), a.head_dim, rounded);  // exact: it was rounded before
    } else {
      __builtin_memset(rounded, 0, static_cast<size_t>(a.head_dim) * 2);
    }
    uint32_t* out = s.queries + i / kTileRows * kTileRows * words + i % kTileRows;
    for (int64_t w = 0; w < words; ++w) {
      __builtin_memcpy(out + w * kTileRows, rounded + 2 * w, 4);
    }
  }
}

// Turns the rows of two positions into pairs, 32 dimensions at a time: those whose number has the
// bit 4 clear come first, then those that have it set; this costs one instruction each.
inline void PairValues(const TileRows& rows, int64_t head_dim, uint32_t* out) {
  for (int64_t i = 0; i < kKeyTile / 2; ++i) {
    const auto* first = static_cast<const uint16_t*>(rows.values[2 * i]);
    const auto* second = static_cast<const uint16_t*>(rows.values[2 * i + 1]);
    uint32_t* square = out + i / kTileWords * kSquare + i % kTileWords * kTileWords;
    for (int64_t d = 0; d < head_dim; d += 32, square += 2 * kPairTiles * kSquare) {
      const Halves a = *reinterpret_cast<const HalvesUnaligned*>(first + d);
      const Halves b = *reinterpret_cast<const HalvesUnaligned*>(second + d);
      const Halves low =
          __builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11, 43,
                                  16, 48, 17, 49, 18, 50, 19, 51, 24, 56, 25, 57, 26, 58, 27, 59);
      const Halves high =
          __builtin_shufflevector(a, b, 4, 36, 5, 37, 6, 38, 7, 39, 12, 44, 13, 45, 14, 46, 15, 47,
                                  20, 52, 21, 53, 22, 54, 23, 55, 28, 60, 29, 61, 30, 62, 31, 63);
      StoreWords(square, reinterpret_cast<Vu>(low));
      StoreWords(square + kPairTiles * kSquare, reinterpret_cast<Vu>(high));
    }
  }
}

// The rows of the tile of keys that comes next, fetched into the second-level cache meanwhile.
// Those of four stretches of the tile take turns (see LineFetch).
struct RowFetch {
  void Until(int64_t part, int64_t parts) {
    if (rows == nullptr) return;
    for (const int64_t end = kKeyTile * part / parts; next < end; ++next) {
      const int64_t row = next % 4 * (kKeyTile / 4) + next / 4;
      for (int64_t at = 0; at < row_bytes; at += kLineBytes) {
        __builtin_prefetch(static_cast<const char*>(rows->keys[row]) + at, 0, 2);
        __builtin_prefetch(static_cast<const char*>(rows->values[row]) + at, 0, 2);
      }
    }
  }

  const TileRows* rows;  // null: nothing to fetch
  int64_t row_bytes;
  int64_t next = 0;
};

// Finds the tile after the one at `begin`, of this item or of the next, if it is committed; returns
// whether it is.
inline bool FindNextTile(const AttentionItem& a, int64_t begin, TileRows& rows) {
  AttentionItem item = a;
  int64_t next = begin + kKeyTile;
  if (next >= a.num_keys) {
    item.page_table = a.next_page_table;
    item.head_offset = a.next_head_offset;
    item.num_committed = a.next_committed;
    next = 0;
  }
  if (next + kKeyTile > item.num_committed) return false;
  FindCommitted<true>(item, next, rows);
  return true;
}

// scores[j][r] = q[r] . key j for all keys of the tile.
inline void TileScores(Tiles& tiles, const AttentionItem& a, const JoinedKeys& keys,
                       const uint32_t* queries, float* scores) {
  const int64_t row_bytes = a.head_dim * 2;
  tiles.Clear<0>();
  tiles.Clear<1>();
  tiles.Clear<2>();
  tiles.Clear<3>();
  for (int64_t at = 0; at < row_bytes; at += kTileRowBytes, queries += kSquare) {
    tiles.Load<6>(queries, kTileRowBytes);
    tiles.Load<4>(keys.keys[0] + at, row_bytes);
    tiles.AddBFloat16<0, 4, 6>();
    tiles.Load<5>(keys.keys[1] + at, row_bytes);
    tiles.AddBFloat16<1, 5, 6>();
    tiles.Load<4>(keys.keys[2] + at, row_bytes);
    tiles.AddBFloat16<2, 4, 6>();
    tiles.Load<5>(keys.keys[3] + at, row_bytes);
    tiles.AddBFloat16<3, 5, 6>();
  }
  tiles.Store<0>(scores, kTileRowBytes);
  tiles.Store<1>(scores + kSquare, kTileRowBytes);
  tiles.Store<2>(scores + 2 * kSquare, kTileRowBytes);
  tiles.Store<3>(scores + 3 * kSquare, kTileRowBytes);
}

// What the rows of a group see of a tile.
struct TileSight {
  Vi keys = {};       // how many, by row
  bool whole = true;  // all see all
  bool any = false;
};

inline TileSight SeeKeys(const AttentionItem& a, int64_t begin, int64_t first) {
  TileSight sight;
  const int64_t last = a.num_rows * a.group - 1;
  for (int r = 0; r < kTileRows; ++r) {
    const int64_t left = KeysSeen(a, first + r < last ? first + r : last) - begin;
    const int64_t keys = left < 0 ? 0 : (left < kKeyTile ? left : kKeyTile);
    sight.keys[r] = static_cast<int>(keys);
    sight.any = sight.any || keys > 0;
    sight.whole = sight.whole && keys == kKeyTile;
  }
  return sight;
}

// Turns the scores of a group into the weights of its values, notes the rows' new maxima and sums,
// and returns what earlier sums are worth now. Scores count as powers of two.
inline Vf WeighTile(const AttentionItem& a, const TileSight& sight, bool is_first, int64_t group,
                    const TileScratch& s) {
  const Vf scale = Splat(1.44269504f * a.scale), unseen = Splat(-__builtin_inff());
  Vf best = unseen;
  for (int j = 0; j < kKeyTile; ++j) {
    Vf z = Load(s.scores + j * kTileRows) * scale;
    if (!sight.whole) z = (Vi{} + j) < sight.keys ? z : unseen;
    Store(s.scores + j * kTileRows, z);
    best = Max(best, z);
  }
  float* max = s.max + group * kTileRows;
  float* sum = s.sum + group * kTileRows;
  const Vf old_max = Load(max);
  const Vf new_max = Max(old_max, best);
  Store(max, new_max);
  Vf even = {}, odd = {};
  for (int tile = 0; tile < kPairTiles; ++tile) {
    Vu square[kTileWords];
    for (int i = 0; i < kTileWords; ++i) {
      const int j = 2 * (tile * kTileWords + i);
      Vf p = Exp2(Load(s.scores + j * kTileRows) - new_max);
      Vf q = Exp2(Load(s.scores + (j + 1) * kTileRows) - new_max);
      if (!sight.whole) {
        p = (Vi{} + j) < sight.keys ? p : Vf{};
        q = (Vi{} + (j + 1)) < sight.keys ? q : Vf{};
      }
      square[i] = RoundPairs(p, q);
      even += reinterpret_cast<Vf>(square[i] << 16);
      odd += reinterpret_cast<Vf>(square[i] & 0xFFFF0000u);
    }
    Transpose(square);
    for (int r = 0; r < kTileRows; ++r) {
      StoreWords(s.weights + tile * kSquare + r * kTileWords, square[r]);
    }
  }
  const Vf fallen = Exp2(old_max - new_max);
  const Vf kept = old_max == new_max ? Splat(1.0f) : fallen;
  const Vf correction = is_first ? Vf{} : kept;
  Store(sum, is_first ? even + odd : Load(sum) * correction + (even + odd));
  return correction;
}

// acc[r] *= correction[r] for all of a group's sums.
inline void CorrectSums(Vf correction, int64_t head_dim, float* acc) {
  for (int64_t d = 0; d < head_dim; d += kTileWords) {
    for (int r = 0; r < kTileRows; ++r, acc += kTileWords) {
      Store(acc, Load(acc) * correction[r]);
    }
  }
}

// acc += weights * values for 16 dimensions, by tile kC.
template <int kC>
inline void AddValues(Tiles& tiles, bool is_first, const uint32_t* values, float* acc) {
  if (is_first) {
    tiles.Clear<kC>();
  } else {
    tiles.Load<kC>(acc, kTileRowBytes);
  }
  tiles.Load<6>(values, kTileRowBytes);
  tiles.AddBFloat16<kC, 4, 6>();
  tiles.Load<7>(values + kSquare, kTileRowBytes);
  tiles.AddBFloat16<kC, 5, 7>();
  tiles.Store<kC>(acc, kTileRowBytes);
}

// One group of rows against the tile at `begin`.
inline void AttendGroup(Tiles& tiles, const AttentionItem& a, const JoinedKeys& keys, int64_t begin,
                        int64_t group, const TileScratch& s) {
  const TileSight sight = SeeKeys(a, begin, group * kTileRows);
  if (!sight.any) return;
  const bool is_first = begin == 0;
  TileScores(tiles, a, keys, s.queries + group * kTileRows * a.head_dim / 2, s.scores);
  const Vf correction = WeighTile(a, sight, is_first, group, s);
  float* acc = s.acc + group * kTileRows * a.head_dim;
  if (!is_first && !AllEqual(correction, 1.0f)) CorrectSums(correction, a.head_dim, acc);
  tiles.Load<4>(s.weights, kTileRowBytes);
  tiles.Load<5>(s.weights + kSquare, kTileRowBytes);
  const uint32_t* values = s.values;
  for (int64_t d = 0; d < a.head_dim; d += 2 * kTileWords) {
    AddValues<0>(tiles, is_first, values, acc);
    AddValues<1>(tiles, is_first, values + kPairTiles * kSquare, acc + kSquare);
    values += 2 * kPairTiles * kSquare;
    acc += 2 * kSquare;
  }
}

// Writes query row i's output. Sums that are zero may have either sign, which depends on what
// others see: it becomes that of +0.
inline void StoreTileOutput(const AttentionItem& a, int64_t i, const TileScratch& s) {
  const int64_t out = i / a.group * a.out_stride + i % a.group * a.head_dim;
  const float inverse = 1.0f / s.sum[i];
  const float* acc = s.acc + i / kTileRows * kTileRows * a.head_dim + i % kTileRows * kTileWords;
  for (int64_t d = 0; d < a.head_dim; d += 2 * kTileWords, acc += 2 * kSquare) {
    const Vf low = Load(acc) * inverse + 0.0f, high = Load(acc + kSquare) * inverse + 0.0f;
    const Vf first =
        __builtin_shufflevector(low, high, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const Vf second = __builtin_shufflevector(low, high, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14,
                                              15, 28, 29, 30, 31);
    StoreAct(a.out, out + d, first, true);
    StoreAct(a.out, out + d + kTileWords, second, true);
  }
}

// Requires: head_dim a multiple of 32.
void AttendItemTiles(const AttentionItem& a) {
  const int64_t groups = TileGroups(a);
  const TileScratch s = DivideTileScratch(a);
  PackTileQueries(a, s);
  for (int64_t i = 0; i < groups * kTileRows; ++i) s.max[i] = -__builtin_inff();
  const uint8_t shape[8] = {16, 16, 16, 16, 16, 16, 16, 16};
  Tiles tiles(shape);
  TileRows found[2];
  bool is_found = false;
  for (int64_t begin = 0; begin < a.num_keys; begin += kKeyTile) {
    TileRows& rows = found[begin / kKeyTile % 2];
    TileRows& next = found[(begin / kKeyTile + 1) % 2];
    if (!is_found) FindRows<true>(a, begin, kKeyTile, s.own, rows);
    JoinedKeys keys;
    JoinKeys(a, kKeyTile, rows, s.own, keys);
    const bool has_next = FindNextTile(a, begin, next);
    is_found = has_next && begin + kKeyTile < a.num_keys;
    RowFetch fetch = {has_next ? &next : nullptr, a.head_dim * 2};
    PairValues(rows, a.head_dim, s.values);
    for (int64_t i = 0; i < groups; ++i) {
      fetch.Until(i + 1, groups);
      AttendGroup(tiles, a, keys, begin, i, s);
    }
  }
  for (int64_t i = 0; i < a.num_rows * a.group; ++i) StoreTileOutput(a, i, s);
}
