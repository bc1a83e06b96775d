// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_work.h"

#include <algorithm>

namespace sdar {
namespace {

constexpr double kFloatBytes = 4;

double Bytes(DType act) { return static_cast<double>(SizeOf(act)); }

double Product(int64_t a, int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }

}  // namespace

double KernelWork::FloorSeconds(double bytes_per_s, double flops_per_s) const {
  return std::max(bytes_per_s > 0 ? bytes / bytes_per_s : 0,
                  flops_per_s > 0 ? flops / flops_per_s : 0);
}

KernelWork EmbedWork(int64_t rows, int64_t hidden, DType act) {
  return {Product(rows, hidden) * (Bytes(act) + kFloatBytes), 0};
}

KernelWork AddRmsNormWork(int64_t rows, int64_t hidden, DType act) {
  const double values = Product(rows, hidden);
  return {values * (3 * kFloatBytes + Bytes(act)), 5 * values};
}

KernelWork MatMulWork(int64_t rows, int64_t cols, int64_t outputs, DType act) {
  return {(Product(outputs, cols) + Product(rows, cols)) * Bytes(act) +
              Product(rows, outputs) * kFloatBytes,
          2 * Product(rows, cols) * static_cast<double>(outputs)};
}

KernelWork QkNormRopeWriteWork(const AttentionShape& shape, int64_t rows, DType act) {
  const double q = Product(rows, shape.num_heads * shape.head_dim);
  const double k = Product(rows, shape.num_kv_heads * shape.head_dim);
  return {(q + 2 * k) * 2 * kFloatBytes + 2 * k * Bytes(act), 7 * (q + k)};
}

KernelWork BlockAttentionWork(const AttentionShape& shape, const AttentionCase& which, DType act) {
  const int64_t rows = which.sequences * which.rows_of_one;
  const double q = Product(rows, shape.num_heads * shape.head_dim);
  const int64_t kv_width = 2 * shape.num_kv_heads * shape.head_dim;
  return {Product(which.sequences * which.context, kv_width) * Bytes(act) +
              (q + Product(rows, kv_width)) * kFloatBytes + q * Bytes(act),
          4 * q * static_cast<double>(which.context + which.rows_of_one)};
}

KernelWork SwiGluWork(int64_t rows, int64_t width, DType act) {
  const double values = Product(rows, width);
  return {values * (2 * kFloatBytes + Bytes(act)), 4 * values};
}

KernelWork RouteWork(int64_t rows, int64_t experts, int64_t k) {
  return {Product(rows, experts) * kFloatBytes + Product(rows, k) * 2 * kFloatBytes,
          Product(rows, experts) * static_cast<double>(3 + k)};
}

KernelWork ExpertsWork(const ExpertsCase& which, DType act) {
  const double matrix = Product(which.hidden, which.width);
  const double x = Product(which.rows, which.hidden), slots = Product(which.rows, which.k);
  return {3 * which.touched * matrix * Bytes(act) + x * (Bytes(act) + kFloatBytes) +
              slots * 2 * kFloatBytes,
          6 * slots * matrix};
}

KernelWork SummarizeLogitsWork(int64_t rows, int64_t columns) {
  return {Product(rows, columns) * kFloatBytes, 8 * Product(rows, columns)};
}

}  // namespace sdar
