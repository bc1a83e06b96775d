// SPDX-License-Identifier: Apache-2.0
// The matmul micro-kernel: 32 columns of a packed weight against up to kMaxRows rows held in
// registers. Every output element is summed over k in ascending order, whatever the number of rows.

constexpr int kVectors = kTileColumns / kLanes;  // vectors of one row's 32 columns
// Rows whose accumulators fit the register file beside the weight and the broadcast.
constexpr int kMaxRows = kLanes == 16 ? 14 : (kLanes == 8 ? 3 : 1);
// How far ahead of the multiplication weights are fetched when they are read once (measured: 8 to
// 32 KiB are alike).
constexpr int64_t kPrefetchBytes = 16384;

inline void Prefetch(const void* p) {
  __builtin_prefetch(static_cast<const char*>(p) + kPrefetchBytes, 0, 3);
}

template <int kRows>
inline void StoreTile(const Vf (&acc)[kRows][kVectors], const MatMulTile& t, int64_t row) {
  for (int m = 0; m < kRows; ++m) {
    float* out = t.out + (row + m) * t.out_stride;
    if (t.columns == kTileColumns) {
      for (int v = 0; v < kVectors; ++v) Store(out + v * kLanes, acc[m][v]);
      continue;
    }
    float full[kTileColumns];
    for (int v = 0; v < kVectors; ++v) Store(full + v * kLanes, acc[m][v]);
    for (int64_t c = 0; c < t.columns; ++c) out[c] = full[c];
  }
}

// The pair of activations at even k as one 32-bit word; beyond an odd k the second is zero.
inline uint32_t LoadPair(const uint16_t* x, bool whole) {
  uint32_t pair = x[0];
  if (whole) __builtin_memcpy(&pair, x, sizeof pair);
  return pair;
}

// acc += the pair of k in `pairs` times that of `w`. With the dot instruction the weights stay in
// registers and each row's pair is broadcast once: 28 accumulators, 2 weights and a broadcast fit
// the 32 registers.
template <int kRows>
inline void MultiplyPair(const uint16_t* w, const uint32_t (&pairs)[kRows],
                         Vf (&acc)[kRows][kVectors]) {
#if SDAR_HAS_BF16_DOT
  __m512bh weights[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    weights[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + v * kLanes * 2));
  }
  for (int m = 0; m < kRows; ++m) {
    const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pairs[m])));
    for (int v = 0; v < kVectors; ++v) {
      acc[m][v] = reinterpret_cast<Vf>(
          _mm512_dpbf16_ps(reinterpret_cast<__m512>(acc[m][v]), x, weights[v]));
    }
  }
#else
  for (int v = 0; v < kVectors; ++v) {
    const Vu weight = *reinterpret_cast<const VuUnaligned*>(w + v * kLanes * 2);
    const Vf even = reinterpret_cast<Vf>(weight << 16);
    const Vf odd = reinterpret_cast<Vf>(weight & 0xFFFF0000u);
    for (int m = 0; m < kRows; ++m) {
      const uint32_t high = pairs[m] & 0xFFFF0000u;
      float x_odd;
      __builtin_memcpy(&x_odd, &high, sizeof x_odd);
      acc[m][v] += even * WidenBf16Scalar(static_cast<uint16_t>(pairs[m]));
      acc[m][v] += odd * x_odd;
    }
  }
#endif
}

template <int kRows>
void TileBf16(const MatMulTile& t, int64_t row) {
  const auto* w = static_cast<const uint16_t*>(t.weight);
  const auto* x = static_cast<const uint16_t*>(t.x) + row * t.x_stride;
  Vf acc[kRows][kVectors] = {};
  uint32_t pairs[kRows];
  const int64_t whole = t.k / 2;
  for (int64_t p = 0; p < whole; ++p, w += 2 * kTileColumns) {
    Prefetch(w);
    Prefetch(w + kTileColumns);
    for (int m = 0; m < kRows; ++m) pairs[m] = LoadPair(x + m * t.x_stride + 2 * p, true);
    MultiplyPair<kRows>(w, pairs, acc);
  }
  if (t.k % 2 != 0) {
    for (int m = 0; m < kRows; ++m) pairs[m] = LoadPair(x + m * t.x_stride + t.k - 1, false);
    MultiplyPair<kRows>(w, pairs, acc);
  }
  StoreTile<kRows>(acc, t, row);
}

template <int kRows>
void TileF32(const MatMulTile& t, int64_t row) {
  const auto* w = static_cast<const float*>(t.weight);
  const auto* x = static_cast<const float*>(t.x) + row * t.x_stride;
  Vf acc[kRows][kVectors] = {};
  for (int64_t k = 0; k < t.k; ++k, w += kTileColumns) {
    Prefetch(w);
    Prefetch(w + kTileColumns / 2);
    for (int v = 0; v < kVectors; ++v) {
      const Vf weight = Load(w + v * kLanes);
      for (int m = 0; m < kRows; ++m) acc[m][v] += weight * x[m * t.x_stride + k];
    }
  }
  StoreTile<kRows>(acc, t, row);
}

// Runs the instantiation for exactly `rows` rows, 1 .. kRows.
template <int kRows, bool kBf16>
void RunTile(const MatMulTile& t, int64_t row, int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return RunTile<kRows - 1, kBf16>(t, row, rows);
  }
  if constexpr (kBf16) {
    TileBf16<kRows>(t, row);
  } else {
    TileF32<kRows>(t, row);
  }
}

template <bool kBf16>
void MatMul(const MatMulTile& t) {
  for (int64_t row = 0; row < t.rows; row += kMaxRows) {
    const int64_t left = t.rows - row;
    RunTile<kMaxRows, kBf16>(t, row, left < kMaxRows ? left : kMaxRows);
  }
}
