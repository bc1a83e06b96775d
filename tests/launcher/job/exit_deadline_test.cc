// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/exit_deadline.h"

#include <cstdlib>

#include "gtest/gtest.h"
#include <unistd.h>

#include "launcher/job/start_deadline.h"

namespace sdar {
namespace {

TEST(ExitDeadlineDeathTest, AProcessThatHangsWhileItEndsLeavesWithTheCode) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        ExitWithin(absl::Milliseconds(20), "the test", 3);
        while (true) pause();
      },
      testing::ExitedWithCode(3), "the test: still here after 20ms");
}

TEST(ExitDeadlineDeathTest, AProcessThatEndsInTimeKeepsItsOwnCode) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        ExitWithin(absl::Hours(1), "the test", 3);
        std::exit(5);
      },
      testing::ExitedWithCode(5), "");
}

TEST(StartDeadlineDeathTest, RanksThatDoNotMeetAreSaidSoAndTheProcessEnds) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const StartDeadline deadline(absl::Milliseconds(20), "the ranks have not met");
        while (true) pause();
      },
      testing::ExitedWithCode(1), "the ranks have not met within 20ms");
}

TEST(StartDeadlineTest, ItIsOverWhenItIsDestroyed) {
  const StartDeadline deadline(absl::Hours(1), "the ranks have not met");
}

}  // namespace
}  // namespace sdar
