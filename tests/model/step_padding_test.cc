// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/step_padding.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;

TEST(PaddedSizeTest, AddsAnEighthAtMostAndKeepsSmallSizes) {
  for (int64_t rows = 1; rows <= 4096; ++rows) {
    const int64_t padded = PaddedSize(rows, 1);
    EXPECT_GE(padded, rows);
    EXPECT_LE(padded, rows <= 16 ? rows : rows + rows / 8);
    EXPECT_EQ(PaddedSize(padded, 1), padded);
  }
}

TEST(PaddedSizeTest, TakesFewSizes) {
  std::set<int64_t> sizes;
  for (int64_t rows = 1; rows <= kMostCapturedRows; ++rows) sizes.insert(PaddedSize(rows, 1));
  EXPECT_EQ(sizes.size(), 64u);
}

TEST(PaddedSizeTest, IsAMultipleOfWhatIsAskedFor) {
  EXPECT_EQ(PaddedSize(4, 3), 6);
  EXPECT_EQ(PaddedSize(33, 8), 40);
  EXPECT_EQ(PaddedSize(1000, 3), 1026);
}

TEST(PadTest, AddsOneSegmentOfRowsWithoutATokenAndEmptyOnes) {
  RowInputs inputs = {{7, 8, 9}, {4, 5, 6}, {68, 69, -1}, {{0, 3, 4, 4, 2}}};
  Pad(5, 4, inputs);
  EXPECT_THAT(inputs.token_ids, ElementsAre(7, 8, 9, -1, -1));
  EXPECT_THAT(inputs.positions, ElementsAre(4, 5, 6, 0, 0));
  EXPECT_THAT(inputs.kv_slots, ElementsAre(68, 69, -1, -1, -1));
  ASSERT_EQ(inputs.segments.size(), 4u);
  EXPECT_EQ(inputs.segments[0].page_offset, 2);
  EXPECT_EQ(inputs.segments[1].first_row, 3);
  EXPECT_EQ(inputs.segments[1].num_rows, 2);
  EXPECT_EQ(inputs.segments[1].first_position, 0);
  EXPECT_EQ(inputs.segments[1].block_length, 2);
  EXPECT_EQ(inputs.segments[2].num_rows, 0);
  EXPECT_EQ(inputs.segments[3].num_rows, 0);
}

TEST(PadTest, AddsNoRowsToAStepThatHasThemAll) {
  RowInputs inputs = {{7}, {0}, {-1}, {{0, 1, 0, 1, 0}}};
  Pad(1, 1, inputs);
  EXPECT_EQ(inputs.token_ids.size(), 1u);
  EXPECT_EQ(inputs.segments.size(), 1u);
}

}  // namespace
}  // namespace sdar
