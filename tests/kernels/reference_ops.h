// SPDX-License-Identifier: Apache-2.0
// What every Backend operation means, in float64: slow, obvious loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/backend.h"

namespace sdar {

// A row-major matrix of doubles.
struct Matrix {
  Matrix() = default;
  Matrix(int64_t r, int64_t c) : rows(r), cols(c), values(static_cast<size_t>(r * c)) {}
  double& operator()(int64_t r, int64_t c) { return values[static_cast<size_t>(r * cols + c)]; }
  double operator()(int64_t r, int64_t c) const {
    return values[static_cast<size_t>(r * cols + c)];
  }

  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<double> values;
};

// x: [rows, k]; weight: [n, k].
inline Matrix ReferenceMatMul(const Matrix& x, const Matrix& weight) {
  Matrix out(x.rows, weight.rows);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t n = 0; n < weight.rows; ++n) {
      for (int64_t k = 0; k < x.cols; ++k) out(r, n) += x(r, k) * weight(n, k);
    }
  }
  return out;
}

// The same with every product's magnitude: what rounding errors are measured against.
inline Matrix ReferenceMatMulNorm(Matrix x, Matrix weight) {
  for (double& v : x.values) v = std::abs(v);
  for (double& v : weight.values) v = std::abs(v);
  return ReferenceMatMul(x, weight);
}

inline Matrix ReferenceEmbed(const Matrix& table, int64_t first_id,
                             const std::vector<int32_t>& ids) {
  Matrix out(static_cast<int64_t>(ids.size()), table.cols);
  for (int64_t r = 0; r < out.rows; ++r) {
    const int64_t row = ids[static_cast<size_t>(r)] - first_id;
    for (int64_t c = 0; c < table.cols && row >= 0 && row < table.rows; ++c)
      out(r, c) = table(row, c);
  }
  return out;
}

inline double InverseRms(const double* x, int64_t n, double eps) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
  return 1 / std::sqrt(squares / static_cast<double>(n) + eps);
}

inline Matrix ReferenceRmsNorm(const Matrix& x, const Matrix& weight, double eps) {
  Matrix out(x.rows, x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    const double scale = InverseRms(&x.values[static_cast<size_t>(r * x.cols)], x.cols, eps);
    for (int64_t c = 0; c < x.cols; ++c) out(r, c) = x(r, c) * scale * weight(0, c);
  }
  return out;
}

inline double ReferenceSilu(double x) { return x / (1 + std::exp(-x)); }

inline Matrix ReferenceSwiGlu(const Matrix& gate_up) {
  Matrix out(gate_up.rows, gate_up.cols / 2);
  for (int64_t r = 0; r < out.rows; ++r) {
    for (int64_t c = 0; c < out.cols; ++c) {
      out(r, c) = ReferenceSilu(gate_up(r, c)) * gate_up(r, out.cols + c);
    }
  }
  return out;
}

// Radians per position of a head's pair `i`.
inline double RopeFrequency(double theta, int64_t head_dim, int64_t i) {
  return std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
}

// Norms and rotates one head of a row in place (half-split RoPE), cosines and sines times
// `rope_scale`.
inline void ReferenceNormRope(double* head, const Matrix& weight, double eps, double theta,
                              double rope_scale, int64_t head_dim, int64_t position) {
  const double scale = InverseRms(head, head_dim, eps);
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * RopeFrequency(theta, head_dim, i);
    const double cosine = std::cos(angle) * rope_scale, sine = std::sin(angle) * rope_scale;
    const double a = head[i] * scale * weight(0, i);
    const double b = head[i + half] * scale * weight(0, i + half);
    head[i] = a * cosine - b * sine;
    head[i + half] = b * cosine + a * sine;
  }
}

// K or V memory on the host: [pages][kv_heads][page_size][head_dim].
struct HostPages {
  double& At(int64_t page, int64_t head, int64_t offset, int64_t d) {
    return values[static_cast<size_t>(((page * kv_heads + head) * page_size + offset) * head_dim +
                                      d)];
  }
  int64_t kv_heads = 0;
  int64_t page_size = 0;
  int64_t head_dim = 0;
  std::vector<double> values;
};

// The keys and values one query row sees, in the order of their positions.
struct Sight {
  std::vector<const double*> keys;
  std::vector<const double*> values;
};

// Row `row` of the segment under the law of sight (docs/design.md, section 4).
inline Sight SightOf(const AttentionShape& shape, const AttentionSegment& segment, int64_t row,
                     const std::vector<int32_t>& page_table, HostPages& keys, HostPages& values,
                     const Matrix& qkv, int64_t kv_head) {
  Sight sight;
  for (int64_t p = 0; p < segment.first_position; ++p) {
    const int32_t page = page_table[static_cast<size_t>(segment.page_offset + p / keys.page_size)];
    sight.keys.push_back(&keys.At(page, kv_head, p % keys.page_size, 0));
    sight.values.push_back(&values.At(page, kv_head, p % keys.page_size, 0));
  }
  for (int64_t other = 0; other < segment.num_rows; ++other) {
    if (other / segment.block_length > row / segment.block_length) break;
    const double* start = &qkv.values[static_cast<size_t>((segment.first_row + other) * qkv.cols)];
    sight.keys.push_back(start + (shape.num_heads + kv_head) * shape.head_dim);
    sight.values.push_back(start +
                           (shape.num_heads + shape.num_kv_heads + kv_head) * shape.head_dim);
  }
  return sight;
}

inline double Dot(const double* a, const double* b, int64_t n) {
  return std::inner_product(a, a + n, b, 0.0);
}

// softmax(scale * q . keys) * values; out: [head_dim].
inline void ReferenceAttend(const double* q, const Sight& sight, int64_t head_dim, double* out) {
  std::vector<double> weights;
  for (const double* key : sight.keys) {
    weights.push_back(Dot(q, key, head_dim) / std::sqrt(static_cast<double>(head_dim)));
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& w : weights) sum += w = std::exp(w - max);
  for (int64_t d = 0; d < head_dim; ++d) {
    out[d] = 0;
    for (size_t j = 0; j < weights.size(); ++j) out[d] += weights[j] / sum * sight.values[j][d];
  }
}

inline Matrix ReferenceAttention(const AttentionShape& shape,
                                 const std::vector<AttentionSegment>& segments,
                                 const std::vector<int32_t>& page_table, HostPages& keys,
                                 HostPages& values, const Matrix& qkv) {
  Matrix out(qkv.rows, shape.num_heads * shape.head_dim);
  for (const AttentionSegment& segment : segments) {
    for (int64_t row = 0; row < segment.num_rows; ++row) {
      for (int64_t head = 0; head < shape.num_heads; ++head) {
        const int64_t kv_head = head / (shape.num_heads / shape.num_kv_heads);
        const Sight sight = SightOf(shape, segment, row, page_table, keys, values, qkv, kv_head);
        const int64_t at = segment.first_row + row;
        ReferenceAttend(&qkv.values[static_cast<size_t>(at * qkv.cols + head * shape.head_dim)],
                        sight, shape.head_dim, &out(at, head * shape.head_dim));
      }
    }
  }
  return out;
}

struct Routing {
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

inline Routing ReferenceRoute(const Matrix& logits, int64_t k, bool renormalize) {
  Routing out;
  for (int64_t r = 0; r < logits.rows; ++r) {
    std::vector<int32_t> order(static_cast<size_t>(logits.cols));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logits(r, a) > logits(r, b); });
    double all = 0, chosen = 0;
    for (int64_t e = 0; e < logits.cols; ++e) all += std::exp(logits(r, e) - logits(r, order[0]));
    for (int64_t s = 0; s < k; ++s) {
      chosen += std::exp(logits(r, order[static_cast<size_t>(s)]) - logits(r, order[0]));
    }
    for (int64_t s = 0; s < k; ++s) {
      const int32_t id = order[static_cast<size_t>(s)];
      out.ids.push_back(id);
      out.weights.push_back(std::exp(logits(r, id) - logits(r, order[0])) /
                            (renormalize ? chosen : all));
    }
  }
  return out;
}

// The down projection of SwiGLU of one row; `inner` is rounded as the device rounds activations.
template <typename Round>
Matrix ReferenceExpert(const Matrix& row, const Matrix& gate_up, const Matrix& down, Round round) {
  Matrix inner = ReferenceSwiGlu(ReferenceMatMul(row, gate_up));
  for (double& v : inner.values) v = round(v);
  return ReferenceMatMul(inner, down);
}

}  // namespace sdar
