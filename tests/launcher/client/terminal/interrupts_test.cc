// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/interrupts.h"

#include <atomic>
#include <csignal>

#include "gtest/gtest.h"
#include <poll.h>
#include <unistd.h>

namespace sdar {
namespace {

// False after half a minute without an event.
bool WaitForEvent(const Interrupts& interrupts) {
  pollfd watched{interrupts.event_fd(), POLLIN, 0};
  return poll(&watched, 1, 30'000) == 1;
}

bool HasEvent(const Interrupts& interrupts) {
  pollfd watched{interrupts.event_fd(), POLLIN, 0};
  return poll(&watched, 1, 0) == 1;
}

TEST(InterruptsTest, SignalsBetweenCallsAreKeptInAChat) {
  Interrupts interrupts;
  interrupts.KeepEvents();
  kill(getpid(), SIGINT);
  ASSERT_TRUE(WaitForEvent(interrupts));
  const Interrupts::Events events = interrupts.TakeEvents();
  EXPECT_TRUE(events.interrupted);
  EXPECT_FALSE(events.resized);
  EXPECT_FALSE(HasEvent(interrupts));
  EXPECT_FALSE(interrupts.TakeEvents().interrupted);
}

TEST(InterruptsTest, AnotherWindowAndTheReturnFromTheShellAreEvents) {
  Interrupts interrupts;
  interrupts.KeepEvents();
  kill(getpid(), SIGWINCH);
  ASSERT_TRUE(WaitForEvent(interrupts));
  EXPECT_TRUE(interrupts.TakeEvents().resized);
  kill(getpid(), SIGCONT);
  ASSERT_TRUE(WaitForEvent(interrupts));
  EXPECT_TRUE(interrupts.TakeEvents().resumed);
}

TEST(InterruptsTest, InterruptDuringACallCancelsItAndNothingElse) {
  Interrupts interrupts;
  interrupts.KeepEvents();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  interrupts.Begin([&] { static_cast<void>(!write(pipe_ends[1], "x", 1)); });
  kill(getpid(), SIGINT);
  char byte = 0;
  EXPECT_EQ(read(pipe_ends[0], &byte, 1), 1);
  EXPECT_TRUE(interrupts.End());
  EXPECT_FALSE(interrupts.TakeEvents().interrupted);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(InterruptsTest, InterruptJustBeforeACallCancelsIt) {
  Interrupts interrupts;
  interrupts.KeepEvents();
  kill(getpid(), SIGINT);
  ASSERT_TRUE(WaitForEvent(interrupts));
  std::atomic<bool> cancelled = false;
  interrupts.Begin([&] { cancelled = true; });
  EXPECT_TRUE(cancelled);
  EXPECT_TRUE(interrupts.End());
  interrupts.Begin([] {});
  EXPECT_FALSE(interrupts.End());
}

TEST(InterruptsTest, WithoutAChatAnInterruptBetweenCallsEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Interrupts interrupts;
        kill(getpid(), SIGINT);
        pause();
      },
      ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace sdar
