// SPDX-License-Identifier: Apache-2.0
// Vectors of the instruction set being compiled: GCC vector types, loads, stores, conversions, exp.
// Included inside the anonymous namespace of each file of a set, which defines SDAR_LANES.

constexpr int kLanes = SDAR_LANES;

typedef float Vf __attribute__((vector_size(kLanes * 4)));
typedef float VfUnaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int32_t Vi __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Vu __attribute__((vector_size(kLanes * 4)));
typedef uint32_t VuUnaligned __attribute__((vector_size(kLanes * 4), aligned(2), may_alias));
typedef uint16_t Vh __attribute__((vector_size(kLanes * 2)));
typedef uint16_t VhUnaligned __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));

inline Vf Load(const float* p) { return *reinterpret_cast<const VfUnaligned*>(p); }
inline void Store(float* p, Vf v) { *reinterpret_cast<VfUnaligned*>(p) = v; }
inline Vf Splat(float x) { return x - Vf{}; }

inline Vf WidenBf16(const uint16_t* p) {
#if SDAR_HAS_AVX512
  // GCC 12 converts in two halves by itself, and warns of its own header without the mask.
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return reinterpret_cast<Vf>(reinterpret_cast<Vu>(_mm512_maskz_cvtepu16_epi32(0xFFFF, half))
                              << 16);
#else
  const Vh half = *reinterpret_cast<const VhUnaligned*>(p);
  return reinterpret_cast<Vf>(__builtin_convertvector(half, Vu) << 16);
#endif
}
inline float WidenBf16Scalar(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float out;
  __builtin_memcpy(&out, &wide, sizeof out);
  return out;
}

// Rounds to nearest even. Arithmetic here never meets NaN unless the weights held one, and then it
// stays one. The instruction that does it makes zeros of denormals, as that of products does.
inline void StoreBf16(uint16_t* p, Vf v) {
#if SDAR_HAS_DOT
  const __m256bh rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(rounded));
#else
  const Vu bits = reinterpret_cast<Vu>(v);
  const Vu rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const Vi is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  const Vu quiet = (bits >> 16) | 0x40u;
  const Vu mask = reinterpret_cast<Vu>(is_nan);
  *reinterpret_cast<VhUnaligned*>(p) =
      __builtin_convertvector((quiet & mask) | (rounded & ~mask), Vh);
#endif
}
inline uint16_t RoundBf16Scalar(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// Words of two bfloat16, `first` below `second`, of numbers that are not NaN.
inline Vu RoundPairs(Vf first, Vf second) {
#if SDAR_HAS_DOT
  typedef uint16_t Halves __attribute__((vector_size(64)));
  const auto both = reinterpret_cast<Halves>(
      _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(second), reinterpret_cast<__m512>(first)));
  return reinterpret_cast<Vu>(__builtin_shufflevector(both, both, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                      5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11,
                                                      27, 12, 28, 13, 29, 14, 30, 15, 31));
#else
  const Vu a = reinterpret_cast<Vu>(first), b = reinterpret_cast<Vu>(second);
  const Vu low = (a + 0x7FFFu + ((a >> 16) & 1u)) >> 16;
  return low | ((b + 0x7FFFu + ((b >> 16) & 1u)) & 0xFFFF0000u);
#endif
}

inline Vf Max(Vf a, Vf b) { return a > b ? a : b; }
inline Vf Min(Vf a, Vf b) { return a < b ? a : b; }

typedef std::make_integer_sequence<int, kLanes> AllLanes;

// Lane i of the result is lane i + kBy of v, round about.
template <int kBy, int... kLane>
inline Vf RotateBy(Vf v, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(v, v, (kLane + kBy) % kLanes...);
}
template <int kBy>
inline Vf RotateLanes(Vf v) {
  return RotateBy<kBy>(v, AllLanes());
}

// Adds the lanes in a fixed tree.
inline float SumLanes(Vf v) {
  if constexpr (kLanes >= 16) v += RotateLanes<8>(v);
  if constexpr (kLanes >= 8) v += RotateLanes<4>(v);
  v += RotateLanes<2>(v);
  v += RotateLanes<1>(v);
  return v[0];
}
inline float MaxLanes(Vf v) {
  if constexpr (kLanes >= 16) v = Max(v, RotateLanes<8>(v));
  if constexpr (kLanes >= 8) v = Max(v, RotateLanes<4>(v));
  v = Max(v, RotateLanes<2>(v));
  v = Max(v, RotateLanes<1>(v));
  return v[0];
}

// exp to about 2 units in the last place for -87 <= x <= 88; beyond, the result is that of the
// nearer end (1.6e-38, 1.7e38): the exponent below must not leave its field. Cody-Waite reduction
// by ln 2 and a polynomial of degree 6 (Cephes expf).
inline Vf Exp(Vf x) {
  x = Min(Max(x, Splat(-87.0f)), Splat(88.0f));
  const Vf magic = Splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vf shifted = x * 1.44269504088896341f + magic;
  const Vf n = shifted - magic;
  Vf r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Vf p = Splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Vi exponent = (reinterpret_cast<Vi>(shifted) - reinterpret_cast<Vi>(magic)) << 23;
  return reinterpret_cast<Vf>(reinterpret_cast<Vi>(p) + exponent);
}

// 2^x for x <= 0 to within 3e-6 of itself, which is rounded to bfloat16 after: a power of two and a
// polynomial for what is left, |f| <= 1/2 (minimax of its relative error, exact at 0). 0 for -inf:
// f is not a number then, and VSCALEFPS makes 0 of that times 2^-inf.
inline Vf Exp2(Vf x) {
#if SDAR_HAS_AVX512
  const __m512 n = _mm512_maskz_roundscale_ps(0xFFFF, reinterpret_cast<__m512>(x), 0);
  const Vf f = x - reinterpret_cast<Vf>(n);
#else
  const Vi is_tiny = x < Splat(-126.0f);
  x = Max(x, Splat(-126.0f));
  const Vf magic = Splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vf shifted = x + magic;
  const Vf f = x - (shifted - magic);
#endif
  Vf p = Splat(9.58285309e-3f);
  p = p * f + 5.59064246e-2f;
  p = p * f + 2.40240986e-1f;
  p = p * f + 6.93124193e-1f;
  p = p * f + 1.0f;
#if SDAR_HAS_AVX512
  return reinterpret_cast<Vf>(_mm512_maskz_scalef_ps(0xFFFF, reinterpret_cast<__m512>(p), n));
#else
  const Vi exponent = (reinterpret_cast<Vi>(shifted) - reinterpret_cast<Vi>(magic)) << 23;
  return reinterpret_cast<Vf>((reinterpret_cast<Vi>(p) + exponent) & ~is_tiny);
#endif
}

// Loads the last n < kLanes values, the other lanes filled.
inline Vf LoadPart(const float* p, int64_t n, float fill) {
  Vf v = Splat(fill);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

inline bool AllEqual(Vf v, float x) {
#if SDAR_HAS_AVX512
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(v), _mm512_set1_ps(x), _CMP_NEQ_UQ) == 0;
#else
  const Vi equal = v == Splat(x);
  int all = -1;
  for (int i = 0; i < kLanes; ++i) all &= equal[i];
  return all != 0;
#endif
}

inline Vu LoadWords(const uint32_t* p) { return *reinterpret_cast<const VuUnaligned*>(p); }
inline void StoreWords(uint32_t* p, Vu v) { *reinterpret_cast<VuUnaligned*>(p) = v; }

// The lanes of a and b whose number has the bit kHalf set (kUpper) or clear, in pairs.
template <int kHalf, bool kUpper, int... kLane>
inline Vu TakeHalves(Vu a, Vu b, std::integer_sequence<int, kLane...>) {
  if constexpr (kUpper) {
    return __builtin_shufflevector(a, b,
                                   ((kLane & kHalf) != 0 ? kLanes + kLane : kLane + kHalf)...);
  } else {
    return __builtin_shufflevector(a, b,
                                   ((kLane & kHalf) != 0 ? kLanes + kLane - kHalf : kLane)...);
  }
}

// Swaps the halves of every 2 * kHalf lanes of row i with those of row i + kHalf: one of the log2
// steps of a transposition.
template <int kHalf>
inline void SwapHalves(Vu (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kHalf) != 0) continue;
    const Vu a = rows[i], b = rows[i + kHalf];
    rows[i] = TakeHalves<kHalf, false>(a, b, AllLanes());
    rows[i + kHalf] = TakeHalves<kHalf, true>(a, b, AllLanes());
  }
}

inline void Transpose(Vu (&rows)[kLanes]) {
  if constexpr (kLanes >= 16) SwapHalves<8>(rows);
  if constexpr (kLanes >= 8) SwapHalves<4>(rows);
  SwapHalves<2>(rows);
  SwapHalves<1>(rows);
}
