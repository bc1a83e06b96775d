// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/line_limit.h"

#include <optional>

#include "gtest/gtest.h"

namespace sdar {
namespace {

constexpr SteadyTime kStart = SteadyTime::FromNanos(0);

TEST(LineLimitTest, APlaceWritesSoManyLinesInAnInterval) {
  LineLimit limit;
  for (int i = 0; i < LineLimit::kMostLines; ++i) EXPECT_EQ(limit.Admit("a.cc", 1, kStart), 0);
  EXPECT_EQ(limit.Admit("a.cc", 1, kStart + absl::Seconds(59)), std::nullopt);
}

TEST(LineLimitTest, TheNextIntervalSaysHowManyWereLeftOut) {
  LineLimit limit;
  for (int i = 0; i < LineLimit::kMostLines + 3; ++i) limit.Admit("a.cc", 1, kStart);
  EXPECT_EQ(limit.Admit("a.cc", 1, kStart + LineLimit::kInterval), 3);
  EXPECT_EQ(limit.Admit("a.cc", 1, kStart + LineLimit::kInterval), 0);
}

TEST(LineLimitTest, PlacesDoNotShareALimit) {
  LineLimit limit;
  for (int i = 0; i <= LineLimit::kMostLines; ++i) limit.Admit("a.cc", 1, kStart);
  EXPECT_EQ(limit.Admit("a.cc", 2, kStart), 0);
  EXPECT_EQ(limit.Admit("b.cc", 1, kStart), 0);
}

}  // namespace
}  // namespace sdar
