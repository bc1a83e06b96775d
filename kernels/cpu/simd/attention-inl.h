// SPDX-License-Identifier: Apache-2.0
// Attention of some rows of a segment over the keys they see, one K/V head. Keys are taken in tiles
// that start at multiples of kKeyTile positions, with a running maximum (online softmax, arXiv
// 1805.02867), and every sum runs over positions or dimensions in ascending order: the arithmetic
// of a row depends on positions alone, not on which rows are worked on together nor on whether a
// key lies in a page or in the step's own rows.

// What one item works in.
struct AttentionScratch {
  uint32_t* keys;  // [words of a key][kKeyTile]: a tile's keys, transposed
  char* own;       // [2][kKeyTile][head_dim]: the segment's own keys and values as pages hold them
  float* queries;  // as PackQueries lays them out
  float* acc;      // [query rows][head_dim]
  float* max;      // [query rows]
  float* sum;      // [query rows]
  float* scores;   // [kQueryRows][kKeyTile]
};

// Query rows at most, and vectors of keys or of dimensions, whose sums stay in registers: the more
// rows, the more products share what widening an element costs.
constexpr int kQueryRows = kLanes == 16 ? 8 : (kLanes == 8 ? 4 : 2);
constexpr int kSumVectors = 2;

// Row `i` of an item's query rows: head i % group of row i / group.
inline const float* QueryRow(const AttentionItem& a, int64_t i) {
  return a.q + i / a.group * a.row_stride + i % a.group * a.head_dim;
}

// How many of the `left` query rows AttendRows takes together.
inline int64_t RowsTogether(int64_t left) {
  int64_t rows = kQueryRows;
  while (rows > left) rows /= 2;
  return rows;
}

// Lays out [head_dim][rows] for rows that are taken together, from s.queries + first row * head_dim
// on.
inline void PackQueries(const AttentionItem& a, const AttentionScratch& s) {
  const int64_t query_rows = a.num_rows * a.group;
  float* out = s.queries;
  for (int64_t first = 0; first < query_rows;) {
    const int64_t rows = RowsTogether(query_rows - first);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = QueryRow(a, first + r);
      for (int64_t d = 0; d < a.head_dim; ++d) out[d * rows + r] = row[d];
    }
    out += rows * a.head_dim;
    first += rows;
  }
}

// sums[r] += q[r] * keys.
template <int kRows>
inline void AddScaledKeys(const float* q, const Vf (&keys)[kSumVectors],
                          Vf (&sums)[kRows][kSumVectors]) {
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kSumVectors; ++v) sums[r][v] += keys[v] * q[r];
  }
}

// sums[r] += word w of q[r] * words of keys. q: [words][kRows].
template <bool kBf16, int kRows>
inline void AddKeys(const float* q, int64_t w, const Vu (&keys)[kSumVectors],
                    Vf (&sums)[kRows][kSumVectors]) {
  Vf first[kSumVectors], second[kSumVectors];
  for (int v = 0; v < kSumVectors; ++v) {
    first[v] = reinterpret_cast<Vf>(kBf16 ? keys[v] << 16 : keys[v]);
    second[v] = reinterpret_cast<Vf>(keys[v] & 0xFFFF0000u);
  }
  AddScaledKeys<kRows>(q + (kBf16 ? 2 : 1) * w * kRows, first, sums);
  if constexpr (kBf16) AddScaledKeys<kRows>(q + (2 * w + 1) * kRows, second, sums);
}

// scores[r][j] = scale * q[r] . key j for kSumVectors vectors of keys; meanwhile fetches keys.
template <bool kBf16, int kRows>
inline void Scores(const AttentionItem& a, const float* q, const uint32_t* keys, Fetch& fetch,
                   bool fetches_rows, float* scores) {
  const int64_t words = kBf16 ? a.head_dim / 2 : a.head_dim;
  Vf sums[kRows][kSumVectors] = {};
  int64_t due = fetches_rows ? fetch.FirstFrom(0) : kKeyTile;
  for (int64_t w = 0; w < words; ++w, keys += kKeyTile) {
    if (w == due && due < kKeyTile) {
      fetch.Key(due);
      due += fetch.parts;
    }
    Vu words_of_keys[kSumVectors];
    for (int v = 0; v < kSumVectors; ++v) words_of_keys[v] = LoadWords(keys + v * kLanes);
    AddKeys<kBf16, kRows>(q, w, words_of_keys, sums);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kSumVectors; ++v) {
      Store(scores + r * kKeyTile + v * kLanes, sums[r][v] * a.scale);
    }
  }
}

// Of the scores of a tile: what is not seen becomes -inf, and the largest is returned.
inline float MaskScores(int64_t valid, float* scores) {
  for (int64_t j = valid; j < kKeyTile; ++j) scores[j] = -__builtin_inff();
  Vf best = Load(scores);
  for (int64_t j = kLanes; j < kKeyTile; j += kLanes) best = Max(best, Load(scores + j));
  return MaxLanes(best);
}

// Turns scores into exp(score - max), zeros from `valid` on, and returns their sum.
inline float Exponentiate(float max, int64_t valid, float* scores) {
  Vf sum = {};
  for (int64_t j = 0; j < kKeyTile; j += kLanes) {
    const Vf p = Exp(Load(scores + j) - max);
    Store(scores + j, p);
    sum += p;
  }
  for (int64_t j = valid; j < kKeyTile; ++j) scores[j] = 0;
  return SumLanes(sum);
}

// Two vectors of a value from dimension d on. bfloat16 is widened in the order that costs one
// instruction a vector; sums stay in that order until they are done (OrderSums).
template <bool kBf16>
inline void LoadValues(const void* row, int64_t d, Vf& first, Vf& second) {
  if constexpr (!kBf16) {
    first = Load(static_cast<const float*>(row) + d);
    second = Load(static_cast<const float*>(row) + d + kLanes);
  } else {
    const uint16_t* p = static_cast<const uint16_t*>(row) + d;
#if SDAR_HAS_AVX512
    const __m512i bits = _mm512_loadu_si512(p);
    first = reinterpret_cast<Vf>(_mm512_unpacklo_epi16(_mm512_setzero_si512(), bits));
    second = reinterpret_cast<Vf>(_mm512_unpackhi_epi16(_mm512_setzero_si512(), bits));
#else
    first = WidenBf16(p);
    second = WidenBf16(p + kLanes);
#endif
  }
}

// Brings two vectors of sums from LoadValues' order into that of the dimensions.
template <bool kBf16>
inline void OrderSums(Vf& first, Vf& second) {
#if SDAR_HAS_AVX512
  if constexpr (kBf16) {
    const Vf a = first, b = second;
    first = __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    second =
        __builtin_shufflevector(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  }
#else
  (void)first;
  (void)second;
#endif
}

// acc[r] = acc[r] * correction[r] + weights * values for two vectors of dimensions from d on;
// meanwhile fetches values.
template <bool kBf16, int kRows>
inline void Accumulate(const TileRows& rows, int64_t d, int64_t num_values,
                       const AttentionScratch& s, const float (&correction)[kLanes],
                       int64_t head_dim, Fetch& fetch, float* acc) {
  Vf sums[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) {
      sums[r][v] = Load(acc + r * head_dim + d + v * kLanes) * correction[r];
    }
  }
  int64_t due = d == 0 ? fetch.FirstFrom(0) : kKeyTile;
  for (int64_t j = 0; j < num_values; ++j) {
    if (j == due) {
      fetch.Value(due);
      due += fetch.parts;
    }
    Vf values[2];
    LoadValues<kBf16>(rows.values[j], d, values[0], values[1]);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < 2; ++v) sums[r][v] += values[v] * s.scores[r * kKeyTile + j];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) Store(acc + r * head_dim + d + v * kLanes, sums[r][v]);
  }
}

template <bool kBf16>
inline float ValueAt(const void* row, int64_t d) {
  if constexpr (kBf16) return WidenBf16Scalar(static_cast<const uint16_t*>(row)[d]);
  return static_cast<const float*>(row)[d];
}

// The dimensions after the last pair of vectors.
template <bool kBf16, int kRows>
inline void AccumulateRest(const TileRows& rows, int64_t d, int64_t num_values,
                           const AttentionScratch& s, const float (&correction)[kLanes],
                           int64_t head_dim, float* acc) {
  for (; d < head_dim; ++d) {
    for (int r = 0; r < kRows; ++r) {
      float sum = acc[r * head_dim + d] * correction[r];
      for (int64_t j = 0; j < num_values; ++j) {
        sum += ValueAt<kBf16>(rows.values[j], d) * s.scores[r * kKeyTile + j];
      }
      acc[r * head_dim + d] = sum;
    }
  }
}

// Keys that query row `i` sees: those of the blocks before its own, and of its own.
inline int64_t KeysSeen(const AttentionItem& a, int64_t i) {
  const int64_t end = ((a.first_row + i / a.group) / a.block_length + 1) * a.block_length;
  return a.num_committed + (end < a.segment_rows ? end : a.segment_rows);
}

// Turns the scores of kRows query rows into the weights of their values, notes the rows' new maxima
// and sums, and what earlier sums are worth now. Returns how many values any of the rows sees.
template <int kRows>
inline int64_t WeighScores(const AttentionItem& a, int64_t begin, int64_t first,
                           const AttentionScratch& s, float (&correction)[kLanes]) {
  int64_t valid[kRows], most = 0;
  float fall[kLanes] = {};
  for (int r = 0; r < kRows; ++r) {
    const int64_t left = KeysSeen(a, first + r) - begin;
    valid[r] = left < 0 ? 0 : (left < kKeyTile ? left : kKeyTile);
    most = valid[r] > most ? valid[r] : most;
    float& max = s.max[first + r];
    const float tile_max = MaskScores(valid[r], s.scores + r * kKeyTile);
    const float new_max = tile_max > max ? tile_max : max;
    fall[r] = max - new_max;
    max = new_max;
  }
  Store(correction, Exp(Load(fall)));
  for (int r = 0; r < kRows; ++r) {
    if (begin == 0) correction[r] = 0;
    if (fall[r] == 0) correction[r] = 1;
    const float sum = Exponentiate(s.max[first + r], valid[r], s.scores + r * kKeyTile);
    if (valid[r] > 0) s.sum[first + r] = s.sum[first + r] * correction[r] + sum;
  }
  return most;
}

// Query rows first .. first + kRows - 1 against the tile at `begin`.
template <bool kBf16, int kRows>
void AttendTile(const AttentionItem& a, const TileRows& rows, Fetch& fetch, int64_t begin,
                int64_t first, const AttentionScratch& s) {
  const float* q = s.queries + first * a.head_dim;
  for (int64_t j = 0; j < kKeyTile; j += kSumVectors * kLanes) {
    Scores<kBf16, kRows>(a, q, s.keys + j, fetch, j == 0, s.scores + j);
  }
  float correction[kLanes];
  const int64_t num_values = WeighScores<kRows>(a, begin, first, s, correction);
  float* acc = s.acc + first * a.head_dim;
  int64_t d = 0;
  for (; d + 2 * kLanes <= a.head_dim; d += 2 * kLanes) {
    Accumulate<kBf16, kRows>(rows, d, num_values, s, correction, a.head_dim, fetch, acc);
  }
  AccumulateRest<kBf16, kRows>(rows, d, num_values, s, correction, a.head_dim, acc);
}

// The query rows from `first` on: kRows at a time, then half as many.
template <bool kBf16, int kRows>
void AttendRows(const AttentionItem& a, const TileRows& rows, Fetch& fetch, int64_t begin,
                int64_t first, const AttentionScratch& s) {
  const int64_t query_rows = a.num_rows * a.group;
  for (; first + kRows <= query_rows; first += kRows, ++fetch.part) {
    AttendTile<kBf16, kRows>(a, rows, fetch, begin, first, s);
  }
  if constexpr (kRows > 1) AttendRows<kBf16, kRows / 2>(a, rows, fetch, begin, first, s);
}

// Writes query row i's output: its sums of values over the sum of their weights.
template <bool kBf16>
inline void StoreOutput(const AttentionItem& a, int64_t i, const float* acc, float sum) {
  const int64_t out = i / a.group * a.out_stride + i % a.group * a.head_dim;
  const float inverse = 1.0f / sum;
  int64_t d = 0;
  for (; d + 2 * kLanes <= a.head_dim; d += 2 * kLanes) {
    Vf first = Load(acc + d) * inverse, second = Load(acc + d + kLanes) * inverse;
    OrderSums<kBf16>(first, second);
    StoreAct(a.out, out + d, first, kBf16);
    StoreAct(a.out, out + d + kLanes, second, kBf16);
  }
  for (; d < a.head_dim; ++d) StoreActScalar(a.out, out + d, acc[d] * inverse, kBf16);
}

template <bool kBf16>
void AttendItem(const AttentionItem& a) {
  const int64_t query_rows = a.num_rows * a.group;
  AttentionScratch s;
  s.keys = reinterpret_cast<uint32_t*>(a.scratch);
  float* rest = a.scratch + kKeyTile * a.head_dim;
  s.own = reinterpret_cast<char*>(rest);
  s.queries = rest + 2 * kKeyTile * a.head_dim;
  s.acc = rest + (2 * kKeyTile + query_rows) * a.head_dim;
  s.max = s.acc + query_rows * a.head_dim;
  s.sum = s.max + query_rows;
  s.scores = s.sum + query_rows;
  PackQueries(a, s);
  for (int64_t i = 0; i < query_rows * a.head_dim; ++i) s.acc[i] = 0;
  for (int64_t i = 0; i < query_rows; ++i) {
    s.max[i] = -__builtin_inff();
    s.sum[i] = 0;
  }
  Fetch fetch((query_rows + kQueryRows - 1) / kQueryRows, a.head_dim * (kBf16 ? 2 : 4));
  TileRows rows, tiles[3];
  for (int64_t begin = 0; begin < a.num_keys; begin += kKeyTile) {
    FindRows<kBf16>(a, begin, kKeyTile, s.own, rows);
    TransposeKeys(rows, kBf16 ? a.head_dim / 2 : a.head_dim, s.keys);
    fetch.StartTile<kBf16>(a, begin / kKeyTile, tiles);
    AttendRows<kBf16, kQueryRows>(a, rows, fetch, begin, 0, s);
  }
  for (int64_t i = 0; i < query_rows; ++i) {
    StoreOutput<kBf16>(a, i, s.acc + i * a.head_dim, s.sum[i]);
  }
}
