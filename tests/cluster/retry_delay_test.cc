// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/retry_delay.h"

#include "gtest/gtest.h"

#include "common/steady_time.h"

namespace sdar {
namespace {

TEST(EndRateTest, SaysHowLongTheQueueTakesAtTheLatestRate) {
  EndRate rate;
  const SteadyTime start = SteadyTime() + absl::Seconds(1000);
  EXPECT_EQ(rate.TimeToDrain(5, start), absl::Seconds(1));
  for (int i = 0; i < 10; ++i) rate.NoteEnd(start + absl::Milliseconds(100 * i));
  const SteadyTime now = start + absl::Seconds(1);
  EXPECT_EQ(rate.TimeToDrain(20, now), absl::Seconds(2));
  EXPECT_EQ(rate.TimeToDrain(0, now), absl::Milliseconds(100));
  EXPECT_EQ(rate.TimeToDrain(100000, now), absl::Seconds(60));
  EXPECT_EQ(rate.TimeToDrain(20, now + absl::Seconds(1)), absl::Seconds(4));
}

}  // namespace
}  // namespace sdar
