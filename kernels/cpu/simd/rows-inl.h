// SPDX-License-Identifier: Apache-2.0
// Row-wise operations: norms, rotary embedding, SwiGLU, rounding and the reductions of logits.

inline float SumOfSquares(const float* x, int64_t n) {
  Vf sum = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum += Load(x + i) * Load(x + i);
  if (i < n) {
    const Vf last = LoadPart(x + i, n - i, 0);
    sum += last * last;
  }
  return SumLanes(sum);
}

inline void StoreAct(void* out, int64_t i, Vf v, bool bfloat16) {
  if (bfloat16) {
    StoreBf16(static_cast<uint16_t*>(out) + i, v);
  } else {
    Store(static_cast<float*>(out) + i, v);
  }
}
inline void StoreActScalar(void* out, int64_t i, float v, bool bfloat16) {
  if (bfloat16) {
    static_cast<uint16_t*>(out)[i] = RoundBf16Scalar(v);
  } else {
    static_cast<float*>(out)[i] = v;
  }
}

inline float InverseRms(const float* x, int64_t n, float eps) {
  return 1.0f / __builtin_sqrtf(SumOfSquares(x, n) / static_cast<float>(n) + eps);
}

void AddRmsNorm(const float* delta, const float* weight, float eps, int64_t n, float* residual,
                void* out, bool bfloat16) {
  if (delta != nullptr) {
    for (int64_t i = 0; i < n; ++i) residual[i] += delta[i];
  }
  const float scale = InverseRms(residual, n, eps);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    StoreAct(out, i, Load(residual + i) * scale * Load(weight + i), bfloat16);
  }
  for (; i < n; ++i) StoreActScalar(out, i, residual[i] * scale * weight[i], bfloat16);
}

void RoundBf16(const float* in, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) StoreBf16(out + i, Load(in + i));
  for (; i < n; ++i) out[i] = RoundBf16Scalar(in[i]);
}

void NormRope(float* head, const float* weight, float eps, int64_t head_dim, const float* cos,
              const float* sin) {
  const float scale = InverseRms(head, head_dim, eps);
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float a = head[i] * scale * weight[i];
    const float b = head[i + half] * scale * weight[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = b * cos[i] + a * sin[i];
  }
}

inline Vf Silu(Vf x) { return x / (1.0f + Exp(-x)); }

void SwiGlu(const float* gate, const float* up, int64_t n, void* out, bool bfloat16) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    StoreAct(out, i, Silu(Load(gate + i)) * Load(up + i), bfloat16);
  }
  if (i == n) return;
  const Vf last = Silu(LoadPart(gate + i, n - i, 0)) * LoadPart(up + i, n - i, 0);
  for (int64_t j = i; j < n; ++j) StoreActScalar(out, j, last[j - i], bfloat16);
}

void AddScaled(const float* in, float scale, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += scale * in[i];
}

float MaxOf(const float* z, int64_t n) {
  constexpr float kLowest = -__builtin_inff();
  Vf best = Splat(0) + kLowest;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) best = Max(best, Load(z + i));
  if (i < n) best = Max(best, LoadPart(z + i, n - i, kLowest));
  return MaxLanes(best);
}

// Floats are added in chunks, chunks in double: the error stays at that of one chunk.
void ExpSums(const float* z, int64_t n, float max, double* sum, double* weighted) {
  constexpr int64_t kChunk = 1024;
  *sum = 0;
  *weighted = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = n < begin + kChunk ? n : begin + kChunk;
    Vf s = {}, w = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      const Vf d = Load(z + i) - max;
      const Vf e = Exp(d);
      s += e;
      w += d * e;
    }
    *sum += static_cast<double>(SumLanes(s));
    *weighted += static_cast<double>(SumLanes(w));
    for (; i < end; ++i) {
      const float d = z[i] - max;
      const float e = Exp(Splat(d))[0];
      *sum += static_cast<double>(e);
      *weighted += static_cast<double>(d * e);
    }
  }
}

template <bool kBf16>
inline Vf LoadAct(const void* x, int64_t i) {
  if constexpr (kBf16) return WidenBf16(static_cast<const uint16_t*>(x) + i);
  return Load(static_cast<const float*>(x) + i);
}
template <bool kBf16>
inline float LoadActScalar(const void* x, int64_t i) {
  if constexpr (kBf16) return WidenBf16Scalar(static_cast<const uint16_t*>(x)[i]);
  return static_cast<const float*>(x)[i];
}

template <bool kBf16>
inline float LargestMagnitude(const void* x, int64_t n) {
  Vf best = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vf v = LoadAct<kBf16>(x, i);
    best = Max(best, Max(v, -v));
  }
  float largest = MaxLanes(best);
  for (; i < n; ++i) {
    const float magnitude = __builtin_fabsf(LoadActScalar<kBf16>(x, i));
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

template <bool kBf16>
inline float QuantizeRowOf(const void* x, int64_t n, uint8_t zero, uint8_t* out) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  const float largest = LargestMagnitude<kBf16>(x, n);
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vf shifted = LoadAct<kBf16>(x, i) * inverse + kMagic;
    const Bytes bytes = __builtin_convertvector(reinterpret_cast<Vu>(shifted) + zero, Bytes);
    __builtin_memcpy(out + i, &bytes, sizeof bytes);
  }
  for (; i < n; ++i) {
    const float shifted = LoadActScalar<kBf16>(x, i) * inverse + kMagic;
    uint32_t bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    out[i] = static_cast<uint8_t>(bits + zero);
  }
  return largest / 127.0f;
}

void QuantizeRow(const void* x, int64_t n, bool bfloat16, uint8_t zero, uint8_t* out,
                 float* scale) {
  *scale = bfloat16 ? QuantizeRowOf<true>(x, n, zero, out) : QuantizeRowOf<false>(x, n, zero, out);
}
