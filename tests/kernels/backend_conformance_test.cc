// SPDX-License-Identifier: Apache-2.0
// Every backend against the float64 references: embedding, norm, matmul, SwiGLU, rows.
#include <limits>
#include <optional>

#include "tests/kernels/targets.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

INSTANTIATE_TEST_SUITE_P(AllTargets, BackendTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(BackendTest, MemoryIsZeroedWhenItIsAllocated) {
  for (size_t bytes : {1u, 63u, 64u, 1000u, (2u << 20) + 1, 5u << 20}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const DeviceBuffer buffer, backend().Allocate(bytes));
    EXPECT_EQ(DownloadAll<uint8_t>(buffer, bytes), std::vector<uint8_t>(bytes));
  }
}

TEST_P(BackendTest, AnAllocationThatCannotBeIsResourceExhausted) {
  EXPECT_THAT(backend().Allocate(size_t{1} << 60),
              StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
}

TEST_P(BackendTest, EmbedTakesRowsAndZeroesIdsOfOtherShards) {
  const Matrix table = Rounded(act(), RandomMatrix(random(), 10, 37));
  const std::vector<int32_t> ids = {100, 109, 99, 110, 0, 105, 105, -1};
  const DeviceMatrix on_device = Upload(table, act(), 3);
  DeviceMatrix out = Upload(RandomMatrix(random(), 8, 37), DType::kFloat32, 5);
  const DeviceBuffer device_ids = UploadAll(ids);
  backend().Run(
      op::Embed{on_device.view, 100, static_cast<const int32_t*>(device_ids.data()), out.view});
  EXPECT_EQ(Download(out).values, ReferenceEmbed(table, 100, ids).values);
}

class NormTest : public BackendTest {
 protected:
  void Check(int64_t rows, int64_t hidden, bool with_delta) {
    const Matrix x = RandomMatrix(random(), rows, hidden, 3);
    const Matrix d = RandomMatrix(random(), rows, hidden);
    const Matrix w = RandomMatrix(random(), 1, hidden);
    Matrix sum = x;
    for (size_t i = 0; with_delta && i < sum.values.size(); ++i) {
      sum.values[i] = double{static_cast<float>(x.values[i]) + static_cast<float>(d.values[i])};
    }
    DeviceMatrix residual = Upload(x, DType::kFloat32, 2);
    const DeviceMatrix delta = Upload(d, DType::kFloat32, 1);
    const DeviceMatrix weight = Upload(w, DType::kFloat32);
    DeviceMatrix out = Upload(Matrix(rows, hidden), act(), 7);
    backend().Run(op::AddRmsNorm{with_delta ? std::optional(delta.view) : std::nullopt, weight.view,
                                 1e-6f, residual.view, out.view});
    EXPECT_EQ(Download(residual).values, sum.values);
    ExpectRelative(Download(out), ReferenceRmsNorm(sum, w, 1e-6), 2e-6 + ActRounding());
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, NormTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(NormTest, AddRmsNormWithoutDeltaKeepsTheResidual) {
  for (int64_t hidden : {1, 5, 16, 33, 256}) Check(5, hidden, false);
}

TEST_P(NormTest, AddRmsNormAddsTheDeltaFirst) {
  for (int64_t hidden : {1, 5, 16, 33, 256}) Check(5, hidden, true);
}

TEST_P(NormTest, AddRmsNormOfZerosIsZeroByItsEpsilon) {
  DeviceMatrix residual = Upload(Matrix(1, 20), DType::kFloat32);
  const DeviceMatrix weight = Upload(RandomMatrix(random(), 1, 20), DType::kFloat32);
  DeviceMatrix out = Upload(RandomMatrix(random(), 1, 20), act());
  backend().Run(op::AddRmsNorm{std::nullopt, weight.view, 1e-6f, residual.view, out.view});
  for (double v : Download(out).values) EXPECT_EQ(v, 0);
}

class MatMulTest : public BackendTest {
 protected:
  // Sums of k products in float32 stray from exact ones by at most about k units of rounding.
  void Check(const PackedWeight& packed, const Matrix& weight, int64_t rows) {
    const Matrix x = Rounded(act(), RandomMatrix(random(), rows, weight.cols));
    const DeviceMatrix on_device = Upload(x, act(), 2);
    DeviceMatrix out = Upload(RandomMatrix(random(), rows, weight.rows), DType::kFloat32, 3);
    backend().Run(op::MatMul{packed, on_device.view, out.view});
    const Matrix norm = ReferenceMatMulNorm(x, weight);
    const double unit = static_cast<double>(weight.cols + 4) * 0x1p-24;
    ExpectNear(Download(out), ReferenceMatMul(x, weight),
               [&](int64_t r, int64_t c) { return unit * norm(r, c) + 1e-30; });
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, MatMulTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(MatMulTest, EveryNumberOfRowsUpToForty) {
  const Matrix weight = Rounded(DType::kBFloat16, RandomMatrix(random(), 40, 24));
  const PackedWeight packed = PackMatrix(weight);
  for (int64_t rows = 0; rows <= 40; ++rows) Check(packed, weight, rows);
}

// More of k than is multiplied with one block of rows at a time.
TEST_P(MatMulTest, LongSumsOfManyRows) {
  const Matrix weight = Rounded(DType::kBFloat16, RandomMatrix(random(), 33, 4500));
  const PackedWeight packed = PackMatrix(weight);
  for (int64_t rows : {14, 15, 29, 43}) Check(packed, weight, rows);
}

TEST_P(MatMulTest, EveryShapeOfTheWeight) {
  for (int64_t n : {1, 31, 32, 33, 64, 100}) {
    for (int64_t k : {1, 2, 3, 31, 64, 255, 256, 257, 515}) {
      const Matrix weight = Rounded(DType::kBFloat16, RandomMatrix(random(), n, k));
      Check(PackMatrix(weight), weight, 3);
    }
  }
}

TEST_P(MatMulTest, PiecesOfSeveralDTypesStackIntoOneWeight) {
  constexpr int64_t kCols = 301;
  const DType dtypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};
  const int64_t rows[] = {5, 40, 17};
  Matrix weight(0, kCols);
  std::vector<std::vector<std::byte>> stored;
  std::vector<WeightPiece> pieces;
  for (size_t i = 0; i < 3; ++i) {
    std::vector<std::byte> bytes;
    for (int64_t v = 0; v < rows[i] * kCols; ++v) {
      // Halves: bits of a value in (-1, 1); others: any float.
      const auto bits = static_cast<uint16_t>(random()() & 0xBBFF);
      double value = RandomMatrix(random(), 1, 1)(0, 0);
      if (dtypes[i] == DType::kFloat16) {
        value = double{HalfToFloat(bits)};
        bytes.push_back(static_cast<std::byte>(bits & 0xFF));
        bytes.push_back(static_cast<std::byte>(bits >> 8));
      } else {
        const std::vector<std::byte> encoded = Encode(dtypes[i], {value});
        bytes.insert(bytes.end(), encoded.begin(), encoded.end());
        value = double{RoundTo(dtypes[i], value)};
      }
      weight.values.push_back(double{RoundTo(act(), value)});
    }
    weight.rows += rows[i];
    stored.push_back(std::move(bytes));
  }
  for (size_t i = 0; i < 3; ++i) pieces.push_back({stored[i].data(), dtypes[i], rows[i], kCols});
  SDAR_ASSERT_OK_AND_ASSIGN(const PackedWeight packed,
                            backend().Pack(pieces, kCols, WeightFormat::kAct));
  Check(packed, weight, 5);
}

TEST_P(MatMulTest, APieceMayBeColumnsOfAWiderMatrixAtAnyAlignment) {
  constexpr int64_t kStride = 50;
  const Matrix wide = Rounded(DType::kBFloat16, RandomMatrix(random(), 35, kStride));
  std::vector<std::byte> bytes(1);
  for (std::byte b : Encode(DType::kBFloat16, wide.values)) bytes.push_back(b);
  Matrix weight(35, 21);
  for (int64_t r = 0; r < 35; ++r) {
    for (int64_t c = 0; c < 21; ++c) weight(r, c) = wide(r, c + 13);
  }
  SDAR_ASSERT_OK_AND_ASSIGN(const PackedWeight packed,
                            backend().Pack({{bytes.data() + 1 + 26, DType::kBFloat16, 35, kStride}},
                                           21, WeightFormat::kAct));
  Check(packed, weight, 4);
}

class RowsTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(AllTargets, RowsTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(RowsTest, SwiGluFollowsItsDefinition) {
  for (int64_t width : {1, 4, 15, 16, 17, 100}) {
    const Matrix x = RandomMatrix(random(), 6, 2 * width, 4);
    const DeviceMatrix gate_up = Upload(x, DType::kFloat32, 1);
    DeviceMatrix out = Upload(Matrix(6, width), act(), 2);
    backend().Run(op::SwiGlu{gate_up.view, out.view});
    ExpectRelative(Download(out), ReferenceSwiGlu(x), 1e-6 + ActRounding());
  }
}

TEST_P(RowsTest, SwiGluOfExtremeGatesVanishesOrPasses) {
  Matrix x(1, 40);
  const double gates[] = {-20,  -80,  -87,   -88, -88.5, -89, -100, -120, -200, -500,
                          -1e4, -1e9, -1e30, 88,  89,    100, 200,  1e4,  1e9,  1e30};
  for (int64_t c = 0; c < 20; ++c) {
    x(0, c) = gates[c];
    x(0, 20 + c) = 1;
  }
  const DeviceMatrix gate_up = Upload(x, DType::kFloat32);
  DeviceMatrix out = Upload(Matrix(1, 20), act());
  backend().Run(op::SwiGlu{gate_up.view, out.view});
  const Matrix got = Download(out);
  const Matrix want = ReferenceSwiGlu(x);
  for (int64_t c = 0; c < 20; ++c) {
    EXPECT_NEAR(got(0, c), want(0, c), (1e-6 + ActRounding()) * std::abs(want(0, c)) + 1e-8)
        << "gate " << gates[c];
  }
}

TEST_P(RowsTest, GatherRowsCopiesRowsOfBothDTypes) {
  for (DType dtype : {act(), DType::kFloat32}) {
    const Matrix x = Rounded(dtype, RandomMatrix(random(), 7, 19));
    const DeviceMatrix from = Upload(x, dtype, 3);
    DeviceMatrix out = Upload(Matrix(5, 19), dtype, 1);
    const std::vector<int32_t> rows = {6, 0, 0, 3, 6};
    const DeviceBuffer device_rows = UploadAll(rows);
    backend().Run(
        op::GatherRows{from.view, static_cast<const int32_t*>(device_rows.data()), out.view});
    EXPECT_EQ(Download(out).values, ReferenceEmbed(x, 0, rows).values);
  }
}

TEST_P(RowsTest, ScatterAddRowsAddsInTheOrderOfTheRows) {
  const Matrix x = RandomMatrix(random(), 6, 19, 100);
  const Matrix start = RandomMatrix(random(), 4, 19);
  const std::vector<int32_t> rows = {3, 1, 3, 3, 0, 1};
  Matrix want = start;
  for (int64_t i = 0; i < 6; ++i) {
    for (int64_t c = 0; c < 19; ++c) {
      double& sum = want(rows[static_cast<size_t>(i)], c);
      sum = double{static_cast<float>(sum) + static_cast<float>(x(i, c))};
    }
  }
  const DeviceMatrix from = Upload(x, DType::kFloat32, 2);
  DeviceMatrix out = Upload(start, DType::kFloat32, 1);
  const DeviceBuffer device_rows = UploadAll(rows);
  backend().Run(
      op::ScatterAddRows{from.view, static_cast<const int32_t*>(device_rows.data()), out.view});
  EXPECT_EQ(Download(out).values, want.values);
}

TEST_P(RowsTest, ClearZeroesTheRowsAndNothingBetweenThem) {
  for (DType dtype : {DType::kFloat32, act()}) {
    DeviceMatrix out = Upload(RandomMatrix(random(), 5, 19), dtype, 3);
    backend().Run(op::Clear{out.view});
    EXPECT_EQ(Download(out).values, Matrix(5, 19).values);
  }
}

TEST(CpuBackendTest, RefusesFloat16Arithmetic) {
  CpuBackendOptions options;
  options.act_dtype = DType::kFloat16;
  EXPECT_THAT(CpuBackend::Create(options),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("float16")));
}

}  // namespace
}  // namespace sdar
