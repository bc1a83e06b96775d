// SPDX-License-Identifier: Apache-2.0
// Attention of one diffusion block's query rows over the keys they see, one K/V head. Keys are
// taken in tiles that start at multiples of kKeyTile positions, with a running maximum (online
// softmax, arXiv 1805.02867): the arithmetic of a row depends on positions alone, not on whether a
// key lies in a page or in the step's own rows.

inline void WidenRow(const void* source, int64_t offset, int64_t n, bool bfloat16, float* out) {
  if (!bfloat16) {
    const float* in = static_cast<const float*>(source) + offset;
    for (int64_t i = 0; i < n; ++i) out[i] = in[i];
    return;
  }
  const uint16_t* in = static_cast<const uint16_t*>(source) + offset;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(out + i, WidenBf16(in + i));
  for (; i < n; ++i) out[i] = WidenBf16Scalar(in[i]);
}

// Fills keys [head_dim][kKeyTile] (transposed) and values [kKeyTile][head_dim] for the tile at
// `begin`; keys that are not there become zeros.
inline void LoadTile(const AttentionItem& a, int64_t begin, float* keys, float* values,
                     float* row) {
  for (int64_t j = 0; j < kKeyTile; ++j) {
    const int64_t position = begin + j;
    float* value = values + j * a.head_dim;
    const float* key = row;
    if (position >= a.num_keys) {
      for (int64_t d = 0; d < a.head_dim; ++d) row[d] = value[d] = 0;
    } else if (position >= a.num_committed) {
      const int64_t own = (position - a.num_committed) * a.row_stride;
      key = a.own_k + own;
      for (int64_t d = 0; d < a.head_dim; ++d) value[d] = a.own_v[own + d];
    } else {
      const int64_t offset = a.page_table[position / a.page_size] * a.page_stride + a.head_offset +
                             position % a.page_size * a.head_dim;
      WidenRow(a.page_keys, offset, a.head_dim, a.bfloat16, row);
      WidenRow(a.page_values, offset, a.head_dim, a.bfloat16, value);
    }
    for (int64_t d = 0; d < a.head_dim; ++d) keys[d * kKeyTile + j] = key[d];
  }
}

// scores[j] = scale * q . key j; -inf for the keys from `valid` on.
inline void Scores(const AttentionItem& a, const float* q, const float* keys, int64_t valid,
                   float* scores) {
  constexpr int kUnroll = 4;
  for (int64_t j = 0; j < kKeyTile; j += kUnroll * kLanes) {
    Vf acc[kUnroll] = {};
    for (int64_t d = 0; d < a.head_dim; ++d) {
      for (int u = 0; u < kUnroll; ++u) {
        acc[u] += Load(keys + d * kKeyTile + j + u * kLanes) * q[d];
      }
    }
    for (int u = 0; u < kUnroll; ++u) Store(scores + j + u * kLanes, acc[u] * a.scale);
  }
  for (int64_t j = valid; j < kKeyTile; ++j) scores[j] = -__builtin_inff();
}

// Turns scores into exp(score - max) and returns their sum.
inline float Exponentiate(float max, float* scores) {
  Vf sum = {};
  for (int64_t j = 0; j < kKeyTile; j += kLanes) {
    const Vf p = Exp(Load(scores + j) - max);
    Store(scores + j, p);
    sum += p;
  }
  return SumLanes(sum);
}

// acc = acc * correction + scores * values, keys in ascending order.
inline void Accumulate(const AttentionItem& a, const float* scores, const float* values,
                       float correction, int64_t valid, float* acc) {
  int64_t d = 0;
  for (; d + kLanes <= a.head_dim; d += kLanes) {
    Vf sum = Load(acc + d) * correction;
    for (int64_t j = 0; j < valid; ++j) sum += Load(values + j * a.head_dim + d) * scores[j];
    Store(acc + d, sum);
  }
  for (; d < a.head_dim; ++d) {
    float sum = acc[d] * correction;
    for (int64_t j = 0; j < valid; ++j) sum += values[j * a.head_dim + d] * scores[j];
    acc[d] = sum;
  }
}

void Attention(const AttentionItem& a) {
  const int64_t query_rows = a.num_rows * a.group;
  float* keys = a.scratch;
  float* values = keys + kKeyTile * a.head_dim;
  float* acc = values + kKeyTile * a.head_dim;
  float* max = acc + query_rows * a.head_dim;
  float* sum = max + query_rows;
  float* scores = sum + query_rows;
  for (int64_t i = 0; i < query_rows * a.head_dim; ++i) acc[i] = 0;
  for (int64_t i = 0; i < query_rows; ++i) {
    max[i] = -__builtin_inff();
    sum[i] = 0;
  }
  float row[kMaxHeadDim];
  for (int64_t begin = 0; begin < a.num_keys; begin += kKeyTile) {
    LoadTile(a, begin, keys, values, row);
    const int64_t left = a.num_keys - begin;
    const int64_t valid = left < kKeyTile ? left : kKeyTile;
    for (int64_t i = 0; i < query_rows; ++i) {
      const float* q = a.q + i / a.group * a.row_stride + i % a.group * a.head_dim;
      Scores(a, q, keys, valid, scores);
      const float tile_max = MaxOf(scores, kKeyTile);
      const float new_max = tile_max > max[i] ? tile_max : max[i];
      const float correction = begin == 0 ? 0.0f : Exp(Splat(max[i] - new_max))[0];
      sum[i] = sum[i] * correction + Exponentiate(new_max, scores);
      Accumulate(a, scores, values, correction, valid, acc + i * a.head_dim);
      max[i] = new_max;
    }
  }
  for (int64_t i = 0; i < query_rows; ++i) {
    const int64_t out = i / a.group * a.out_stride + i % a.group * a.head_dim;
    for (int64_t d = 0; d < a.head_dim; ++d) {
      StoreActScalar(a.out, out + d, acc[i * a.head_dim + d] / sum[i], a.bfloat16);
    }
  }
}
