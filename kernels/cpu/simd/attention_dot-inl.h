// SPDX-License-Identifier: Apache-2.0
// Attention in bfloat16 by the instruction that multiplies pairs of it. Eight query rows make up a
// vector, two words of each, so that keys are multiplied as they lie in memory: a key's words are
// broadcast two at a time, and turning keys into columns falls away. Tiles, running maxima and the
// independence from other rows are those of attention-inl.h; the products of a key's even
// words and of its odd ones are summed apart, the weights of values are rounded to bfloat16, and
// those of even positions and of odd ones are summed apart.

constexpr int kDotRows = 8;               // query rows of a vector
constexpr int kDotKeys = kKeysTogether;   // keys whose sums stay in registers
constexpr int kDotPairs = kKeyTile / 2;   // pairs of positions in a tile
constexpr int kDotVector = 2 * kDotRows;  // words, or scores of two positions

// What one item works in.
struct DotScratch {
  char* own;          // [2][kKeyTile][head_dim]: keys and values that do not lie in pages
  uint32_t* queries;  // [vectors of rows][head_dim / 4][kDotRows][2]
  float* acc;         // [rows, whole vectors][head_dim]
  float* max;         // [vectors of rows][2][kDotRows]: both halves alike
  float* sum;         // [vectors of rows][2][kDotRows]: of even and of odd positions
  float* scores;      // [kDotPairs][2][kDotRows]
  uint32_t* weights;  // [kDotPairs][kDotRows]: pairs of bfloat16
};

inline int64_t DotVectors(const AttentionItem& a) {
  return (a.num_rows * a.group + kDotRows - 1) / kDotRows;
}

inline DotScratch DivideDotScratch(const AttentionItem& a) {
  const int64_t vectors = DotVectors(a), rows = vectors * kDotRows;
  DotScratch s;
  s.own = reinterpret_cast<char*>(a.scratch);
  float* queries = a.scratch + kKeyTile * a.head_dim;
  s.queries = reinterpret_cast<uint32_t*>(queries);
  s.acc = queries + rows * a.head_dim / 2;
  s.max = s.acc + rows * a.head_dim;
  s.sum = s.max + vectors * kDotVector;
  s.scores = s.sum + vectors * kDotVector;
  s.weights = reinterpret_cast<uint32_t*>(s.scores + kDotPairs * kDotVector);
  return s;
}

// Rows that fill up the last vector are zeros.
inline void PackDotQueries(const AttentionItem& a, const DotScratch& s) {
  const int64_t query_rows = a.num_rows * a.group, steps = a.head_dim / 4;
  auto* rounded = reinterpret_cast<uint16_t*>(s.own);  // no keys are there yet
  for (int64_t i = 0; i < DotVectors(a) * kDotRows; ++i) {
    if (i < query_rows) {
      RoundBf16(QueryRow(a, i), a.head_dim, rounded);  // exact: it was rounded before
    } else {
      __builtin_memset(rounded, 0, static_cast<size_t>(a.head_dim) * 2);
    }
    uint32_t* out = s.queries + i / kDotRows * steps * kDotVector + i % kDotRows * 2;
    for (int64_t w = 0; w < steps; ++w) __builtin_memcpy(out + w * kDotVector, rounded + 4 * w, 8);
  }
}

// Keys of a tile that there are, rounded up to what is multiplied together.
inline int64_t DotKeysOfTile(const AttentionItem& a, int64_t begin) {
  const int64_t count = (a.num_keys - begin + kDotKeys - 1) / kDotKeys * kDotKeys;
  return count < kKeyTile ? count : kKeyTile;
}

inline Vf AddDot(Vf sum, Vu a, Vu b) {
  return reinterpret_cast<Vf>(_mm512_dpbf16_ps(
      reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
}

// scores[j][r] = log2(e) * scale * q[r] . key j for kDotKeys keys from `key` on; meanwhile fetches
// every `parts`-th of a later tile's keys [first, first + kDotKeys). kHeadDim: 0 where it is not
// known.
template <int kHeadDim>
inline void DotScores(const AttentionItem& a, const uint32_t* q, const char* key, int64_t first,
                      Fetch& fetch, float* scores) {
  const int64_t head_dim = kHeadDim != 0 ? kHeadDim : a.head_dim;
  const int64_t steps = head_dim / 4;
  const float scale = 1.44269504f * a.scale;
  Vf sums[kDotKeys] = {};
  int64_t due = fetch.FirstFrom(first);
  for (int64_t w = 0; w < steps; ++w, key += 8, q += kDotVector) {
    while (due < kKeyTile && (due - first) * steps <= w * kDotKeys) {
      fetch.Key(due);
      due += fetch.parts;
    }
    const Vu words = LoadWords(q);
    for (int j = 0; j < kDotKeys; ++j) {
      int64_t two_words;
      __builtin_memcpy(&two_words, key + j * head_dim * 2, sizeof two_words);
      sums[j] = AddDot(sums[j], reinterpret_cast<Vu>(_mm512_set1_epi64(two_words)), words);
    }
  }
  for (int j = 0; j < kDotKeys; j += 2) {
    const Vf even = __builtin_shufflevector(sums[j], sums[j + 1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18,
                                            20, 22, 24, 26, 28, 30);
    const Vf odd = __builtin_shufflevector(sums[j], sums[j + 1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19,
                                           21, 23, 25, 27, 29, 31);
    Store(scores + j * kDotRows, (even + odd) * scale);
  }
}

// What the rows of a vector see of a tile: of lane r and r + kDotRows, how many keys.
struct DotSight {
  Vi keys = {};
  int64_t most = 0;
  bool whole = true;  // all see all
};

inline DotSight SeeTile(const AttentionItem& a, int64_t begin, int64_t first) {
  DotSight sight;
  const int64_t last = a.num_rows * a.group - 1;
  for (int r = 0; r < kDotRows; ++r) {
    const int64_t left = KeysSeen(a, first + r < last ? first + r : last) - begin;
    const int64_t keys = left < 0 ? 0 : (left < kKeyTile ? left : kKeyTile);
    sight.keys[r] = sight.keys[r + kDotRows] = static_cast<int>(keys);
    sight.most = keys > sight.most ? keys : sight.most;
    sight.whole = sight.whole && keys == kKeyTile;
  }
  return sight;
}

// All bits of the lanes whose key of pair i is seen.
inline Vi SeenKeys(const DotSight& sight, int64_t i) {
  const Vi positions = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  return positions + static_cast<int>(2 * i) < sight.keys;
}

// Both halves: the larger of the two.
inline Vf LargestOfTwo(Vf v) { return Max(v, RotateLanes<kDotRows>(v)); }

// Writes two positions' weights of the values, and returns them as rounded.
inline Vf StoreDotWeights(Vf p, uint32_t* weights) {
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(p)));
  const __m128i even = _mm256_castsi256_si128(rounded), odd = _mm256_extracti128_si256(rounded, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(weights), _mm_unpacklo_epi16(even, odd));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(weights + 4), _mm_unpackhi_epi16(even, odd));
  return reinterpret_cast<Vf>(reinterpret_cast<Vu>(_mm512_maskz_cvtepu16_epi32(0xFFFF, rounded))
                              << 16);
}

// Turns the scores of a tile's first pairs into the weights of their values, notes the rows' new
// maxima and sums, and returns what earlier sums are worth now.
inline Vf WeighDotScores(const DotSight& sight, int64_t num_pairs, bool is_first, int64_t vector,
                         const DotScratch& s) {
  Vf best = Splat(-__builtin_inff());
  for (int64_t i = 0; i < num_pairs; ++i) {
    Vf z = Load(s.scores + i * kDotVector);
    if (!sight.whole) {
      z = SeenKeys(sight, i) ? z : Splat(-__builtin_inff());
      Store(s.scores + i * kDotVector, z);
    }
    best = Max(best, z);
  }
  float* max = s.max + vector * kDotVector;
  float* sum = s.sum + vector * kDotVector;
  const Vf old_max = Load(max);
  const Vf new_max = Max(old_max, LargestOfTwo(best));
  Store(max, new_max);
  Vf total = {};
  for (int64_t i = 0; i < num_pairs; ++i) {
    Vf p = Exp2(Load(s.scores + i * kDotVector) - new_max);
    if (!sight.whole) p = SeenKeys(sight, i) ? p : Vf{};
    total += StoreDotWeights(p, s.weights + i * kDotRows);
  }
  const Vf fallen = Exp2(old_max - new_max);
  const Vf kept = old_max == new_max ? Splat(1.0f) : fallen;
  const Vf correction = is_first ? Vf{} : kept;
  Store(sum, is_first ? total : Load(sum) * correction + total);
  return correction;
}

// acc[r] = acc[r] * correction[r] + weights * values for two vectors of dimensions from d on;
// meanwhile fetches values, and those of the next dimensions into the first-level cache. They are
// taken in pairs: after the last there is one of weight 0.
inline void AccumulateDots(const TileRows& rows, int64_t d, int64_t num_values,
                           const uint32_t* weights, const float* correction, int64_t head_dim,
                           Fetch& fetch, float* acc) {
  Vf sums[kDotRows][2];
  for (int r = 0; r < kDotRows; ++r) {
    for (int v = 0; v < 2; ++v) {
      sums[r][v] = Load(acc + r * head_dim + d + v * kLanes) * correction[r];
    }
  }
  // Each stretch of dimensions fetches its share: all lines at once would hold up the loads.
  const int64_t begin = kKeyTile * d / head_dim, end = kKeyTile * (d + 2 * kLanes) / head_dim;
  int64_t due = fetch.FirstFrom(begin);
  for (int64_t j = 0; j < num_values; j += 2, weights += kDotRows) {
    while (due < end && (due - begin) * kKeyTile <= j * (end - begin)) {
      fetch.Value(due);
      due += fetch.parts;
    }
    const auto* first = static_cast<const uint16_t*>(rows.values[j]) + d;
    const auto* second = static_cast<const uint16_t*>(rows.values[j + 1]) + d;
    __builtin_prefetch(first + 2 * kLanes, 0, 3);
    __builtin_prefetch(second + 2 * kLanes, 0, 3);
    const __m512i even = _mm512_loadu_si512(first), odd = _mm512_loadu_si512(second);
    const Vu low = reinterpret_cast<Vu>(_mm512_unpacklo_epi16(even, odd));
    const Vu high = reinterpret_cast<Vu>(_mm512_unpackhi_epi16(even, odd));
    for (int r = 0; r < kDotRows; ++r) {
      const Vu pair = reinterpret_cast<Vu>(_mm512_set1_epi32(static_cast<int>(weights[r])));
      sums[r][0] = AddDot(sums[r][0], pair, low);
      sums[r][1] = AddDot(sums[r][1], pair, high);
    }
  }
  for (int r = 0; r < kDotRows; ++r) {
    for (int v = 0; v < 2; ++v) Store(acc + r * head_dim + d + v * kLanes, sums[r][v]);
  }
}

// One vector of rows against the tile at `begin`.
template <int kHeadDim>
void AttendTileDots(const AttentionItem& a, const TileRows& rows, const JoinedKeys& keys,
                    Fetch& fetch, int64_t begin, int64_t vector, const DotScratch& s) {
  const uint32_t* q = s.queries + vector * a.head_dim / 4 * kDotVector;
  const int64_t count = DotKeysOfTile(a, begin);
  for (int64_t j = 0; j < count; j += kDotKeys) {
    DotScores<kHeadDim>(a, q, keys.keys[j / kDotKeys], j, fetch, s.scores + j * kDotRows);
  }
  const DotSight sight = SeeTile(a, begin, vector * kDotRows);
  float correction[kDotVector];
  Store(correction, WeighDotScores(sight, count / 2, begin == 0, vector, s));
  float* acc = s.acc + vector * kDotRows * a.head_dim;
  for (int64_t d = 0; d < a.head_dim; d += 2 * kLanes) {
    AccumulateDots(rows, d, sight.most, s.weights, correction, a.head_dim, fetch, acc);
  }
}

// Requires: head_dim a multiple of 2 * kLanes.
template <int kHeadDim>
void AttendItemDots(const AttentionItem& a) {
  const int64_t vectors = DotVectors(a);
  const DotScratch s = DivideDotScratch(a);
  PackDotQueries(a, s);
  for (int64_t i = 0; i < vectors * kDotRows * a.head_dim; ++i) s.acc[i] = 0;
  for (int64_t i = 0; i < vectors * kDotVector; ++i) s.max[i] = -__builtin_inff();
  Fetch fetch(vectors, a.head_dim * 2);
  TileRows tiles[3];
  for (int64_t begin = 0; begin < a.num_keys; begin += kKeyTile) {
    const int64_t t = begin / kKeyTile, count = DotKeysOfTile(a, begin);
    TileRows& rows = tiles[t % 3];
    const bool is_found = t > 0 && begin + kKeyTile <= a.num_committed;
    if (!is_found) FindRows<true>(a, begin, count, s.own, rows);
    JoinedKeys keys;
    JoinRows(rows.keys, count, a.head_dim * 2, s.own, keys.keys);
    fetch.StartTile<true>(a, t, tiles);
    for (int64_t i = 0; i < vectors; ++i, ++fetch.part) {
      AttendTileDots<kHeadDim>(a, rows, keys, fetch, begin, i, s);
    }
  }
  for (int64_t i = 0; i < a.num_rows * a.group; ++i) {
    const float* sum = s.sum + i / kDotRows * kDotVector + i % kDotRows;
    StoreOutput<true>(a, i, s.acc + i * a.head_dim, sum[0] + sum[kDotRows]);
  }
}
