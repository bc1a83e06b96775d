// SPDX-License-Identifier: Apache-2.0
// Bytes and operations of each kernel, against numbers worked out by hand.
#include "bench/kernels/kernel_work.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

constexpr DType kHalf = DType::kBFloat16;

AttentionShape Heads() { return {4, 2, 8, 1e-6f}; }

void ExpectWork(const KernelWork& work, double bytes, double flops) {
  EXPECT_DOUBLE_EQ(work.bytes, bytes);
  EXPECT_DOUBLE_EQ(work.flops, flops);
}

TEST(KernelWorkTest, RowsAreReadAndWrittenOnce) {
  ExpectWork(EmbedWork(3, 10, kHalf), 3 * 10 * 6, 0);
  ExpectWork(EmbedWork(3, 10, DType::kFloat32), 3 * 10 * 8, 0);
  ExpectWork(AddRmsNormWork(3, 10, kHalf), 3 * 10 * 14, 150);
  ExpectWork(SwiGluWork(2, 5, kHalf), 2 * 5 * 10, 40);
  ExpectWork(RouteWork(2, 16, 4), 2 * 16 * 4 + 2 * 4 * 8, 2 * 16 * 7);
  ExpectWork(SummarizeLogitsWork(2, 100), 800, 1600);
}

TEST(KernelWorkTest, ProductsReadTheirWeightOnce) {
  ExpectWork(MatMulWork(3, 10, 20, kHalf), 20 * 10 * 2 + 3 * 10 * 2 + 3 * 20 * 4, 2 * 3 * 10 * 20);
  // The gate and up projections of 4b over 512 rows: 99.6 MB of weights.
  const KernelWork gate_up = MatMulWork(512, 2560, 19456, kHalf);
  EXPECT_DOUBLE_EQ(gate_up.flops, 51002736640.0);
  EXPECT_DOUBLE_EQ(gate_up.bytes, 99614720.0 + 2621440.0 + 39845888.0);
}

TEST(KernelWorkTest, ExpertsReadThoseThatHaveRows) {
  ExpectWork(ExpertsWork({3, 2, 4, 10, 5}, kHalf), 3 * 4 * 50 * 2 + 3 * 10 * 6 + 6 * 8, 6 * 6 * 50);
}

TEST(KernelWorkTest, AttentionReadsWhatIsCommittedOnce) {
  // 5 sequences of 3 rows: q is 32 wide, k and v 16 each.
  ExpectWork(BlockAttentionWork(Heads(), {5, 3, 100}, kHalf),
             5 * 100 * 32 * 2 + 15 * 64 * 4 + 15 * 32 * 2, 4 * 15 * 32 * 103);
  ExpectWork(QkNormRopeWriteWork(Heads(), 15, kHalf), 15 * 64 * 8 + 15 * 32 * 2,
             7 * 15 * (32 + 16));
}

TEST(KernelWorkTest, TheFloorIsTheLongerOfMovingAndComputing) {
  const KernelWork work = {1000, 500};
  EXPECT_DOUBLE_EQ(work.FloorSeconds(100, 100), 10);
  EXPECT_DOUBLE_EQ(work.FloorSeconds(1000, 100), 5);
  EXPECT_DOUBLE_EQ(work.FloorSeconds(100, 0), 10);
}

}  // namespace
}  // namespace sdar
