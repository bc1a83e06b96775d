// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set_choice.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

constexpr size_t kSets = 5;

InstructionSetTimes Times(std::vector<absl::Duration> times) {
  InstructionSetTimes out(kSets);
  for (size_t i = 0; i < times.size(); ++i) out[i] = {true, times[i]};
  return out;
}

constexpr absl::Duration kUnknown = absl::InfiniteDuration();

TEST(InstructionSetChoiceTest, TheFastestIsTaken) {
  EXPECT_EQ(ChooseInstructionSet(Times({kUnknown, kUnknown, absl::Milliseconds(1),
                                        absl::Milliseconds(2), absl::Milliseconds(3)})),
            InstructionSet::kAvx512);
  EXPECT_EQ(ChooseInstructionSet(Times({kUnknown, kUnknown, absl::Milliseconds(3),
                                        absl::Milliseconds(2), absl::Milliseconds(1)})),
            InstructionSet::kAmx);
}

TEST(InstructionSetChoiceTest, AMoreCapableOneThatIsHardlySlowerWins) {
  EXPECT_EQ(ChooseInstructionSet(
                Times({kUnknown, kUnknown, absl::Microseconds(1000), absl::Microseconds(1090)})),
            InstructionSet::kAvx512Bf16);
  EXPECT_EQ(ChooseInstructionSet(
                Times({kUnknown, kUnknown, absl::Microseconds(1000), absl::Microseconds(1110)})),
            InstructionSet::kAvx512);
}

TEST(InstructionSetChoiceTest, OfThoseThatWereNotMeasuredTheMostCapableIsTaken) {
  EXPECT_EQ(ChooseInstructionSet(Times({kUnknown})), InstructionSet::kPortable);
  EXPECT_EQ(ChooseInstructionSet(Times({kUnknown, kUnknown})), InstructionSet::kAvx2);
  EXPECT_EQ(ChooseInstructionSet(Times({kUnknown, kUnknown, kUnknown, kUnknown})),
            InstructionSet::kAvx512Bf16);
}

TEST(InstructionSetChoiceTest, WhatWasMeasuredIsDescribedFromTheMostCapableOn) {
  EXPECT_EQ(
      DescribeTimes(Times({kUnknown, kUnknown, absl::Milliseconds(1), absl::Microseconds(2340)})),
      "avx512_bf16 2.34 ms, avx512 1.00 ms");
  EXPECT_EQ(DescribeTimes(Times({kUnknown})), "");
}

TEST(InstructionSetChoiceTest, TheSetsOfThisMachineAreMeasuredWhereTheyMayDiffer) {
  CoreShare cores;
  cores.num_threads = 2;
  const ProductShape shape = {DType::kBFloat16, WeightFormat::kAct, 1024, 1024};
  const InstructionSetTimes times = MeasureInstructionSets(shape, cores);
  ASSERT_EQ(times.size(), kSets);
  const auto best = static_cast<size_t>(BestInstructionSet());
  for (size_t i = 0; i < kSets; ++i) {
    EXPECT_EQ(times[i].has, i <= best);
    const bool compared = best > 2 && i >= 2 && i <= best;
    EXPECT_EQ(times[i].time < kUnknown, compared) << i;
    EXPECT_GT(times[i].time, absl::ZeroDuration());
  }
}

TEST(InstructionSetChoiceTest, ProductsThatAreOverAtOnceAreNotMeasured) {
  CoreShare cores;
  for (const int64_t rows : {0, 64}) {
    const ProductShape shape = {DType::kBFloat16, WeightFormat::kInt8, rows, 64};
    for (const InstructionSetTime& time : MeasureInstructionSets(shape, cores)) {
      EXPECT_EQ(time.time, kUnknown);
    }
  }
}

}  // namespace
}  // namespace sdar
