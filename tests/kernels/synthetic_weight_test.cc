// SPDX-License-Identifier: Apache-2.0
// Weights that a backend makes up are, bit for bit, those that the host makes up.
#include "common/synthetic_weight.h"

#include "tests/kernels/targets.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

constexpr uint64_t kKey = 0x0123456789ABCDEFu;

// Elements of a made-up matrix of `stride` columns, in host memory.
std::vector<BFloat16> OnHost(uint64_t first, int64_t rows, int64_t stride) {
  std::vector<BFloat16> values(static_cast<size_t>(rows * stride));
  FillSynthetic({kKey, first}, values.size(), values.data());
  return values;
}

WeightPiece MadeUp(uint64_t first, int64_t rows, int64_t stride) {
  return {nullptr, DType::kBFloat16, rows, stride, SyntheticElements{kKey, first}};
}

class SyntheticWeightTest : public BackendTest {
 protected:
  std::vector<std::byte> BytesOf(const DeviceBuffer& buffer) {
    return DownloadAll<std::byte>(buffer, buffer.size_bytes());
  }
  std::vector<std::byte> PackedBytes(const WeightPiece& piece, int64_t cols, WeightFormat format) {
    auto packed = backend().Pack({piece}, cols, format);
    EXPECT_TRUE(packed.ok()) << packed.status();
    return BytesOf(packed->storage);
  }
  std::vector<std::byte> TableBytes(const WeightPiece& piece, int64_t cols) {
    auto table = backend().MakeTable(piece, cols);
    EXPECT_TRUE(table.ok()) << table.status();
    return BytesOf(*table);
  }
  // Expects packed weight and table of made-up rows to be those of the same rows in host memory.
  void Check(uint64_t first, int64_t rows, int64_t stride, int64_t cols) {
    const std::vector<BFloat16> values = OnHost(first, rows, stride);
    const WeightPiece on_host = {values.data(), DType::kBFloat16, rows, stride};
    const WeightPiece made_up = MadeUp(first, rows, stride);
    EXPECT_EQ(PackedBytes(made_up, cols, WeightFormat::kAct),
              PackedBytes(on_host, cols, WeightFormat::kAct));
    EXPECT_EQ(TableBytes(made_up, cols), TableBytes(on_host, cols));
  }
};

TEST_P(SyntheticWeightTest, RowsAreTheHosts) { Check(0, 35, 300, 300); }

TEST_P(SyntheticWeightTest, ColumnsAreTheHosts) { Check(17, 35, 300, 101); }

TEST_P(SyntheticWeightTest, RowsBeyondFourBillionElementsAreTheHosts) {
  Check((uint64_t{1} << 32) - 450, 3, 300, 300);
}

TEST_P(SyntheticWeightTest, ASliceIsThatOfTheWhole) {
  constexpr int64_t kRows = 9, kCols = 70, kFirstRow = 4, kFirstCol = 11, kSliceCols = 33;
  const size_t element = SizeOf(act());
  const std::vector<std::byte> whole = TableBytes(MadeUp(0, kRows, kCols), kCols);
  const WeightPiece piece = MadeUp(kFirstRow * kCols + kFirstCol, kRows - kFirstRow, kCols);
  const std::vector<std::byte> slice = TableBytes(piece, kSliceCols);
  for (int64_t r = 0; r < kRows - kFirstRow; ++r) {
    const int64_t from = (kFirstRow + r) * kCols + kFirstCol;
    EXPECT_EQ(std::memcmp(slice.data() + static_cast<size_t>(r * kSliceCols) * element,
                          whole.data() + static_cast<size_t>(from) * element, kSliceCols * element),
              0)
        << "row " << r;
  }
}

TEST_P(SyntheticWeightTest, PiecesOfBothKindsStackIntoOneWeight) {
  const std::vector<BFloat16> values = OnHost(0, 60, 90);
  const WeightPiece first = {values.data(), DType::kBFloat16, 20, 90};
  SDAR_ASSERT_OK_AND_ASSIGN(
      const PackedWeight packed,
      backend().Pack({first, MadeUp(20 * 90, 40, 90)}, 90, WeightFormat::kAct));
  EXPECT_EQ(BytesOf(packed.storage),
            PackedBytes({values.data(), DType::kBFloat16, 60, 90}, 90, WeightFormat::kAct));
}

// More than what a GPU's weights pass through at a time.
TEST_P(SyntheticWeightTest, EveryRowOfALargeTableArrives) {
  constexpr int64_t kRows = 5000, kCols = 2048;
  const std::vector<BFloat16> values = OnHost(0, kRows, kCols);
  const WeightPiece piece = {values.data(), DType::kBFloat16, kRows, kCols};
  const std::vector<std::byte> whole = TableBytes(piece, kCols);
  std::vector<float> got(values.size()), want(values.size());
  ConvertToFloat(act(), whole.data(), got.size(), got.data());
  ConvertToFloat(DType::kBFloat16, values.data(), want.size(), want.data());
  EXPECT_TRUE(got == want);
}

#ifndef SDAR_TEST_CUDA
TEST_P(SyntheticWeightTest, Int8RowsAreThoseOfTheHosts) {
  const std::vector<BFloat16> values = OnHost(5, 40, 515);
  EXPECT_EQ(PackedBytes(MadeUp(5, 40, 515), 515, WeightFormat::kInt8),
            PackedBytes({values.data(), DType::kBFloat16, 40, 515}, 515, WeightFormat::kInt8));
}
#endif

INSTANTIATE_TEST_SUITE_P(EveryTarget, SyntheticWeightTest, ::testing::ValuesIn(AllTargets()),
                         NameOfTarget);

}  // namespace
}  // namespace sdar
