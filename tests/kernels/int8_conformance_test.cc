// SPDX-License-Identifier: Apache-2.0
// int8 weights of the CPU backend, every instruction set and act dtype, against slow products of
// the quantised numbers.
#include "kernels/cpu/packed_weight.h"
#include "tests/kernels/targets.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// What a row of x or of a weight becomes: whole numbers from -127 to 127, and what one is worth.
struct QuantizedRow {
  std::vector<double> numbers;
  double scale = 0;
};

QuantizedRow Quantize(const Matrix& m, int64_t row) {
  double largest = 0;
  for (int64_t c = 0; c < m.cols; ++c) largest = std::max(largest, std::abs(m(row, c)));
  QuantizedRow out;
  out.scale = largest / 127;
  for (int64_t c = 0; c < m.cols; ++c) {
    out.numbers.push_back(largest == 0 ? 0 : std::nearbyint(m(row, c) / out.scale));
  }
  return out;
}

// x * weight^T of the quantised rows, and what four numbers more or less would change at most:
// float32 may round some the other way.
struct Int8Product {
  Matrix value;
  Matrix tolerance;
};

Int8Product ReferenceInt8MatMul(const Matrix& x, const Matrix& weight) {
  Int8Product out{Matrix(x.rows, weight.rows), Matrix(x.rows, weight.rows)};
  std::vector<QuantizedRow> rows, columns;
  for (int64_t r = 0; r < x.rows; ++r) rows.push_back(Quantize(x, r));
  for (int64_t n = 0; n < weight.rows; ++n) columns.push_back(Quantize(weight, n));
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t n = 0; n < weight.rows; ++n) {
      const QuantizedRow& row = rows[static_cast<size_t>(r)];
      const QuantizedRow& column = columns[static_cast<size_t>(n)];
      const double unit = row.scale * column.scale;
      out.value(r, n) = unit * Dot(row.numbers.data(), column.numbers.data(), x.cols);
      out.tolerance(r, n) = 4 * 127 * unit + 1e-6 * std::abs(out.value(r, n));
    }
  }
  return out;
}

class Int8Test : public BackendTest {
 protected:
  PackedWeight PackInt8(const Matrix& m, DType dtype = DType::kFloat32) {
    const std::vector<std::byte> bytes = Encode(dtype, m.values);
    auto packed =
        backend().Pack({{bytes.data(), dtype, m.rows, m.cols}}, m.cols, WeightFormat::kInt8);
    EXPECT_TRUE(packed.ok()) << packed.status();
    return *std::move(packed);
  }

  Matrix Multiply(const PackedWeight& weight, const Matrix& x) {
    const DeviceMatrix on_device = Upload(x, act(), 2);
    DeviceMatrix out = Upload(RandomMatrix(random(), x.rows, weight.rows), DType::kFloat32, 3);
    backend().Run(op::MatMul{weight, on_device.view, out.view});
    return Download(out);
  }

  void Check(const Matrix& weight, int64_t num_rows) {
    const Matrix x = Rounded(act(), RandomMatrix(random(), num_rows, weight.cols));
    const Int8Product want = ReferenceInt8MatMul(x, weight);
    ExpectNear(Multiply(PackInt8(weight), x), want.value,
               [&](int64_t r, int64_t c) { return want.tolerance(r, c); });
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, Int8Test, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(Int8Test, EveryNumberOfRowsUpToForty) {
  const Matrix weight = RandomMatrix(random(), 40, 24);
  for (int64_t rows = 0; rows <= 40; ++rows) Check(weight, rows);
}

TEST_P(Int8Test, EveryShapeOfTheWeight) {
  for (int64_t n : {1, 31, 32, 33, 100}) {
    for (int64_t k : {1, 2, 3, 4, 5, 63, 256, 257, 515}) Check(RandomMatrix(random(), n, k), 3);
  }
}

// More words of k than are multiplied with one block of rows at a time.
TEST_P(Int8Test, LongSumsOfManyRowsAreExact) { Check(RandomMatrix(random(), 33, 9001), 17); }

TEST_P(Int8Test, SumsReachTheEndsOfTheirRange) {
  Matrix weight(2, 12288), x(1, 12288);
  for (int64_t k = 0; k < x.cols; ++k) {
    x(0, k) = 1;
    weight(0, k) = 1;
    weight(1, k) = -1;
  }
  const Matrix got = Multiply(PackInt8(weight), x);
  EXPECT_NEAR(got(0, 0), 12288, 0.01);
  EXPECT_NEAR(got(0, 1), -12288, 0.01);
}

TEST_P(Int8Test, RowsAndColumnsOfZerosGiveZeros) {
  Matrix weight = RandomMatrix(random(), 3, 20);
  for (int64_t k = 0; k < 20; ++k) weight(1, k) = 0;
  Matrix x = Rounded(act(), RandomMatrix(random(), 2, 20));
  for (int64_t k = 0; k < 20; ++k) x(0, k) = 0;
  const Matrix got = Multiply(PackInt8(weight), x);
  for (int64_t n = 0; n < 3; ++n) EXPECT_EQ(got(0, n), 0);
  EXPECT_EQ(got(1, 1), 0);
  EXPECT_NE(got(1, 0), 0);
}

TEST_P(Int8Test, RowsHaveTheSameBitsAloneAndAmongMany) {
  for (int64_t k : {7, 64, 515}) {
    const PackedWeight weight = PackInt8(RandomMatrix(random(), 70, k));
    const Matrix x = Rounded(act(), RandomMatrix(random(), 40, k));
    const Matrix whole = Multiply(weight, x);
    for (int64_t r = 0; r < 40; ++r) {
      Matrix alone(1, k);
      for (int64_t c = 0; c < k; ++c) alone(0, c) = x(r, c);
      const Matrix got = Multiply(weight, alone);
      for (int64_t n = 0; n < 70; ++n) EXPECT_EQ(got(0, n), whole(r, n)) << "row " << r;
    }
  }
}

TEST_P(Int8Test, StoredDTypesQuantiseAlike) {
  const Matrix weight = Rounded(DType::kBFloat16, RandomMatrix(random(), 37, 301));
  const Matrix x = Rounded(act(), RandomMatrix(random(), 5, 301));
  EXPECT_EQ(Multiply(PackInt8(weight, DType::kBFloat16), x).values,
            Multiply(PackInt8(weight, DType::kFloat32), x).values);
}

TEST_P(Int8Test, ExpertsMultiplyTheirOwnRows) {
  ExpertWeights experts;
  std::vector<Matrix> gate_up, down;
  for (int e = 0; e < 3; ++e) {
    gate_up.push_back(RandomMatrix(random(), 48, 40, 0.3));
    down.push_back(RandomMatrix(random(), 40, 24, 0.3));
    experts.gate_up.push_back(PackInt8(gate_up.back()));
    experts.down.push_back(PackInt8(down.back()));
  }
  const Matrix x = Rounded(act(), RandomMatrix(random(), 5, 40));
  const std::vector<int32_t> ids = {2, 0, 0, 2, 2};
  const DeviceMatrix rows = Upload(x, act());
  DeviceMatrix out = Upload(Matrix(5, 40), DType::kFloat32);
  const DeviceBuffer device_ids = UploadAll(ids);
  const DeviceBuffer weights = UploadAll(std::vector<float>(5, 1));
  backend().Run(op::Experts{experts, rows.view, 1, static_cast<const int32_t*>(device_ids.data()),
                            static_cast<const float*>(weights.data()), out.view});
  const Matrix got = Download(out);
  for (int64_t r = 0; r < 5; ++r) {
    Matrix row(1, 40);
    for (int64_t c = 0; c < 40; ++c) row(0, c) = x(r, c);
    const auto e = static_cast<size_t>(ids[static_cast<size_t>(r)]);
    const Matrix inner =
        Rounded(act(), ReferenceSwiGlu(ReferenceInt8MatMul(row, gate_up[e]).value));
    const Int8Product want = ReferenceInt8MatMul(inner, down[e]);
    for (int64_t c = 0; c < 40; ++c) {
      EXPECT_NEAR(got(r, c), want.value(0, c), want.tolerance(0, c)) << r << ", " << c;
    }
  }
}

TEST(Int8WeightTest, MoreColumnsThanSumsHoldAreRefused) {
  auto backend = CpuBackend::Create({});
  ASSERT_TRUE(backend.ok());
  const std::vector<uint16_t> row(kMaxInt8Cols + 1);
  EXPECT_THAT((*backend)->Pack({{row.data(), DType::kBFloat16, 1, kMaxInt8Cols + 1}},
                               kMaxInt8Cols + 1, WeightFormat::kInt8),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("65536")));
}

}  // namespace
}  // namespace sdar
