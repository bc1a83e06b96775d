// SPDX-License-Identifier: Apache-2.0
// Attention in bfloat16 by tiles. Sixteen query rows are the columns of a tile. Scores come
// transposed, keys as they lie in memory times queries in pairs, so that maxima, weights and their
// sums go over the positions of a query by whole vectors. Weights turn round once and multiply
// values in pairs of positions. Tiles of keys, running maxima and the independence from other rows
// are those of attention-inl.h; weights of values are rounded to bfloat16, those of even
// positions and of odd ones are summed apart, and products are summed as tiles sum them.

constexpr int kSquare = kTileRows * kTileWords;        // floats or words of a tile
constexpr int kPairTiles = kKeyTile / 2 / kTileWords;  // of 16 pairs of positions

typedef uint16_t Halves __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalvesUnaligned __attribute__((vector_size(kLanes * 4), aligned(2), may_alias));

// Tiles of keys that are under way at a time: the one whose values are added up, the one whose
// scores are weighed, and the one after it.
constexpr int kTilesUnderWay = 3;

// What one item works in. Of two: of every other turn.
struct TileScratch {
  char* own[kTilesUnderWay];  // [2][kKeyTile][head_dim]: keys and values that do not lie in pages
  uint32_t* values;           // [head_dim / 32] of what PairValues makes
  uint32_t* queries;          // [groups of rows][head_dim / 32] squares: pairs of dimensions, rows
  float* acc;                 // [groups][head_dim / 16] squares: rows, columns as those of values
  float* max;                 // [groups][16]
  float* sum;                 // [groups][16]
  float* scores[2];           // [kKeyTile][16 rows]
  uint32_t* weights[2];       // [kPairTiles] squares: rows, pairs of positions
};

inline int64_t TileGroups(const AttentionItem& a) {
  return (a.num_rows * a.group + kTileRows - 1) / kTileRows;
}

inline TileScratch DivideTileScratch(const AttentionItem& a) {
  const int64_t groups = TileGroups(a), d = a.head_dim;
  TileScratch s;
  float* at = a.scratch;
  const auto take = [&at](int64_t floats) {
    float* taken = at;
    at += floats;
    return taken;
  };
  for (char*& own : s.own) own = reinterpret_cast<char*>(take(kKeyTile * d));
  s.values = reinterpret_cast<uint32_t*>(take(kKeyTile / 2 * d));
  for (int i = 0; i < 2; ++i) {
    s.scores[i] = take(kKeyTile * kTileRows);
    s.weights[i] = reinterpret_cast<uint32_t*>(take(kPairTiles * kSquare));
  }
  s.queries = reinterpret_cast<uint32_t*>(take(groups * kTileRows * d / 2));
  s.acc = take(groups * kTileRows * d);
  s.max = take(groups * kTileRows);
  s.sum = take(groups * kTileRows);
  return s;
}

// Rows that fill up the last group are zeros.
inline void PackTileQueries(const AttentionItem& a, const TileScratch& s) {
  const int64_t query_rows = a.num_rows * a.group, words = a.head_dim / 2;
  auto* rounded = reinterpret_cast<uint32_t*>(s.own[0]);  // [16][words]: no keys are there yet
  uint32_t* out = s.queries;
  for (int64_t first = 0; first < query_rows; first += kTileRows) {
    for (int64_t r = 0; r < kTileRows; ++r) {
      auto* row = reinterpret_cast<uint16_t*>(rounded + r * words);
      if (first + r < query_rows) {
        RoundBf16(QueryRow(a, first + r), a.head_dim, row);  // exact: it was rounded before
      } else {
        __builtin_memset(row, 0, static_cast<size_t>(a.head_dim) * 2);
      }
    }
    for (int64_t word = 0; word < words; word += kTileWords, out += kSquare) {
      Vu square[kTileWords];
      for (int r = 0; r < kTileRows; ++r) square[r] = LoadWords(rounded + r * words + word);
      Transpose(square);
      for (int w = 0; w < kTileWords; ++w) StoreWords(out + w * kTileRows, square[w]);
    }
  }
}

// Squares of the pairs of a tile's values in 32 dimensions.
constexpr int64_t kSquaresOfPairs = 2 * kPairTiles;

// Turns the rows of two positions into pairs, 32 dimensions from d on: those whose number has the
// bit 4 clear come first, then those that have it set; this costs one instruction each.
// out: [2][kPairTiles] squares: pairs of positions, dimensions.
inline void PairValues(const TileOfKeys& tile, int64_t head_dim, int64_t d, uint32_t* out) {
  constexpr int64_t kPairsOfRun = kKeysTogether / 2;
  for (int64_t i = 0; i < kKeyTile / 2; ++i, out += kTileWords) {
    const auto* first = reinterpret_cast<const uint16_t*>(tile.values[i / kPairsOfRun]) +
                        i % kPairsOfRun * 2 * head_dim + d;
    const uint16_t* second = first + head_dim;
    const Halves a = *reinterpret_cast<const HalvesUnaligned*>(first);
    const Halves b = *reinterpret_cast<const HalvesUnaligned*>(second);
    const Halves low =
        __builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11, 43, 16,
                                48, 17, 49, 18, 50, 19, 51, 24, 56, 25, 57, 26, 58, 27, 59);
    const Halves high =
        __builtin_shufflevector(a, b, 4, 36, 5, 37, 6, 38, 7, 39, 12, 44, 13, 45, 14, 46, 15, 47,
                                20, 52, 21, 53, 22, 54, 23, 55, 28, 60, 29, 61, 30, 62, 31, 63);
    StoreWords(out, reinterpret_cast<Vu>(low));
    StoreWords(out + kPairTiles * kSquare, reinterpret_cast<Vu>(high));
  }
}

// scores[j][r] = q[r] . key j for all keys of a tile.
inline void TileScores(Tiles& tiles, int64_t head_dim, const TileOfKeys& tile,
                       const uint32_t* queries, RowFetch& fetch, float* scores) {
  const int64_t row_bytes = head_dim * 2;
  tiles.Clear<0>();
  tiles.Clear<1>();
  tiles.Clear<2>();
  tiles.Clear<3>();
  for (int64_t at = 0; at < row_bytes; at += kTileRowBytes, queries += kSquare) {
    fetch.Step();
    tiles.Load<6>(queries, kTileRowBytes);
    tiles.Load<4>(tile.keys[0] + at, row_bytes);
    tiles.AddBFloat16<0, 4, 6>();
    tiles.Load<5>(tile.keys[1] + at, row_bytes);
    tiles.AddBFloat16<1, 5, 6>();
    tiles.Load<4>(tile.keys[2] + at, row_bytes);
    tiles.AddBFloat16<2, 4, 6>();
    tiles.Load<5>(tile.keys[3] + at, row_bytes);
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
  bool any = true;
};

inline TileSight SeeKeys(const AttentionItem& a, int64_t begin, int64_t first) {
  TileSight sight;
  if (begin + kKeyTile <= a.num_committed) return sight;
  const int64_t last = a.num_rows * a.group - 1;
  sight.any = false;
  for (int r = 0; r < kTileRows; ++r) {
    const int64_t left = KeysSeen(a, first + r < last ? first + r : last) - begin;
    const int64_t keys = left < 0 ? 0 : (left < kKeyTile ? left : kKeyTile);
    sight.keys[r] = static_cast<int>(keys);
    sight.any = sight.any || keys > 0;
    sight.whole = sight.whole && keys == kKeyTile;
  }
  return sight;
}

// Scores of keys that are not seen become -inf; returns the largest of every row.
inline Vf MaskTileScores(const TileSight& sight, float* scores) {
  const Vf unseen = Splat(-__builtin_inff());
  if (!sight.whole) {
    for (int j = 0; j < kKeyTile; ++j) {
      const Vf z = Load(scores + j * kTileRows);
      Store(scores + j * kTileRows, (Vi{} + j) < sight.keys ? z : unseen);
    }
  }
  Vf first = unseen, second = unseen, third = unseen, fourth = unseen;
  for (int j = 0; j < kKeyTile; j += 4, scores += 4 * kTileRows) {
    first = Max(first, Load(scores));
    second = Max(second, Load(scores + kTileRows));
    third = Max(third, Load(scores + 2 * kTileRows));
    fourth = Max(fourth, Load(scores + 3 * kTileRows));
  }
  return Max(Max(first, second), Max(third, fourth));
}

// Turns the scores of a group into the weights of its values, notes the rows' new maxima and sums,
// and returns what earlier sums are worth now. Scores count as powers of two.
inline Vf WeighTile(const AttentionItem& a, const TileSight& sight, bool is_first, int64_t group,
                    float* scores, uint32_t* weights, const TileScratch& s) {
  const Vf scale = Splat(1.44269504f * a.scale);
  float* max = s.max + group * kTileRows;
  float* sum = s.sum + group * kTileRows;
  const Vf old_max = Load(max);
  const Vf new_max = Max(old_max, MaskTileScores(sight, scores) * scale);
  Store(max, new_max);
  Vf even = {}, odd = {};
  for (int tile = 0; tile < kPairTiles; ++tile) {
    Vu square[kTileWords];
    for (int i = 0; i < kTileWords; ++i) {
      const int j = 2 * (tile * kTileWords + i);
      const Vf p = Exp2(Load(scores + j * kTileRows) * scale - new_max);
      const Vf q = Exp2(Load(scores + (j + 1) * kTileRows) * scale - new_max);
      square[i] = RoundPairs(p, q);
      even += reinterpret_cast<Vf>(square[i] << 16);
      odd += reinterpret_cast<Vf>(square[i] & 0xFFFF0000u);
    }
    Transpose(square);
    for (int r = 0; r < kTileRows; ++r) {
      StoreWords(weights + tile * kSquare + r * kTileWords, square[r]);
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

// acc += weights (tiles 4 and 5) * values for 32 dimensions.
inline void AddValues(Tiles& tiles, bool is_first, const uint32_t* values, float* acc) {
  if (is_first) {
    tiles.Clear<0>();
    tiles.Clear<1>();
  } else {
    tiles.Load<0>(acc, kTileRowBytes);
    tiles.Load<1>(acc + kSquare, kTileRowBytes);
  }
  tiles.Load<6>(values, kTileRowBytes);
  tiles.AddBFloat16<0, 4, 6>();
  tiles.Load<7>(values + 2 * kSquare, kTileRowBytes);
  tiles.AddBFloat16<1, 4, 7>();
  tiles.Load<6>(values + kSquare, kTileRowBytes);
  tiles.AddBFloat16<0, 5, 6>();
  tiles.Load<7>(values + 3 * kSquare, kTileRowBytes);
  tiles.AddBFloat16<1, 5, 7>();
  tiles.Store<0>(acc, kTileRowBytes);
  tiles.Store<1>(acc + kSquare, kTileRowBytes);
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

// One item. A turn is a group of rows and a tile of keys; while the vector unit weighs the scores
// of a turn, the tile unit has the scores of the next one and the values of the one before to
// multiply.
class TileAttention {
 public:
  explicit TileAttention(const AttentionItem& item)
      : a_(item), s_(DivideTileScratch(item)), groups_(TileGroups(item)), tiles_(kWholeTiles) {}

  void Run() {
    PackTileQueries(a_, s_);
    for (int64_t i = 0; i < groups_ * kTileRows; ++i) s_.max[i] = -__builtin_inff();
    FindAhead(a_, 0, found_[0]);
    Multiply(0);
    const int64_t turns = (a_.num_keys + kKeyTile - 1) / kKeyTile * groups_;
    for (int64_t turn = 0; turn < turns; ++turn) {
      if (turn % groups_ == 0) StartTile(turn / groups_);
      if (turn + 1 < turns) Multiply(turn + 1);
      if (turn > 0) AddUp(turn - 1);
      Weigh(turn);
    }
    AddUp(turns - 1);
    for (int64_t i = 0; i < a_.num_rows * a_.group; ++i) StoreTileOutput(a_, i, s_);
  }

 private:
  static constexpr uint8_t kWholeTiles[8] = {16, 16, 16, 16, 16, 16, 16, 16};

  // What a turn's weighing leaves for its values.
  struct Weighed {
    bool any;
    Vf correction;
  };

  void StartTile(int64_t tile) {
    TileOfKeys& next = found_[(tile + 1) % kTilesUnderWay];
    FindAhead(a_, (tile + 1) * kKeyTile, next);
    fetch_ = RowFetch();
    if (next.is_found) fetch_.tile = &next;
    fetch_.row_bytes = a_.head_dim * 2;
    fetch_.steps = groups_ * a_.head_dim / kTileWords;
  }

  void Multiply(int64_t turn) {
    const int64_t tile = turn / groups_, group = turn % groups_;
    TileOfKeys& found = found_[tile % kTilesUnderWay];
    if (group == 0) JoinTile(a_, tile * kKeyTile, s_.own[tile % kTilesUnderWay], found);
    TileScores(tiles_, a_.head_dim, found, s_.queries + group * kTileRows * a_.head_dim / 2, fetch_,
               s_.scores[turn % 2]);
  }

  void Weigh(int64_t turn) {
    const int64_t begin = turn / groups_ * kKeyTile, group = turn % groups_;
    const TileSight sight = SeeKeys(a_, begin, group * kTileRows);
    Weighed& weighed = weighed_[turn % 2];
    weighed.any = sight.any;
    if (!sight.any) return;
    weighed.correction =
        WeighTile(a_, sight, begin == 0, group, s_.scores[turn % 2], s_.weights[turn % 2], s_);
  }

  void AddUp(int64_t turn) {
    const int64_t tile = turn / groups_;
    const Weighed& weighed = weighed_[turn % 2];
    if (!weighed.any) return;
    float* acc = s_.acc + turn % groups_ * kTileRows * a_.head_dim;
    if (tile > 0 && !AllEqual(weighed.correction, 1.0f)) {
      CorrectSums(weighed.correction, a_.head_dim, acc);
    }
    const uint32_t* weights = s_.weights[turn % 2];
    tiles_.Load<4>(weights, kTileRowBytes);
    tiles_.Load<5>(weights + kSquare, kTileRowBytes);
    const bool is_paired = paired_ == tile;
    paired_ = tile;
    if (!is_paired) Pair(tile, 0);
    for (int64_t d = 0; d < a_.head_dim; d += 2 * kTileWords, acc += 2 * kSquare) {
      fetch_.Step();
      if (!is_paired && d + 2 * kTileWords < a_.head_dim) Pair(tile, d + 2 * kTileWords);
      AddValues(tiles_, tile == 0, Pairs(d), acc);
    }
  }

  void Pair(int64_t tile, int64_t d) {
    PairValues(found_[tile % kTilesUnderWay], a_.head_dim, d, Pairs(d));
  }

  // Where a tile's pairs from dimension d on are. Those of the only group are read once: they take
  // turns in memory that stays in the first-level cache.
  uint32_t* Pairs(int64_t d) const {
    const int64_t part = d / (2 * kTileWords);
    return s_.values + (groups_ == 1 ? part % 2 : part) * kSquaresOfPairs * kSquare;
  }

  const AttentionItem& a_;
  const TileScratch s_;
  const int64_t groups_;
  Tiles tiles_;
  TileOfKeys found_[kTilesUnderWay];  // in turn
  int64_t paired_ = -1;               // the tile whose pairs were made last
  RowFetch fetch_;                    // of the tile after the one whose scores are weighed
  Weighed weighed_[2] = {};           // every other turn
};
