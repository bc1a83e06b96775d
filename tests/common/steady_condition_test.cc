// SPDX-License-Identifier: Apache-2.0
#include "common/steady_condition.h"

#include <limits>
#include <thread>

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(SteadyTimeTest, DifferencesAndOrderAreThoseOfTheMoments) {
  const SteadyTime start = SteadyTime::Now();
  const SteadyTime later = start + absl::Milliseconds(1500);
  EXPECT_EQ(later - start, absl::Milliseconds(1500));
  EXPECT_EQ(later - absl::Milliseconds(1500), start);
  EXPECT_LT(start, later);
  EXPECT_GE(SteadyTime::Now(), start);
  EXPECT_EQ(SteadyTime::FromNanos(later.ToNanos()), later);
}

TEST(SteadyTimeTest, InfiniteMomentsStayBeyondAllOthers) {
  const SteadyTime now = SteadyTime::Now();
  EXPECT_LT(SteadyTime::InfinitePast(), now);
  EXPECT_GT(SteadyTime::InfiniteFuture(), now + absl::Hours(1'000'000));
  EXPECT_EQ(SteadyTime::InfiniteFuture() - now, absl::InfiniteDuration());
  EXPECT_EQ(now + absl::InfiniteDuration(), SteadyTime::InfiniteFuture());
}

TEST(SteadyConditionTest, AnotherThreadsChangeEndsTheWait) {
  absl::Mutex mutex;
  SteadyCondition changed;
  bool ready = false;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    ready = true;
    changed.NotifyAll();
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(changed.AwaitUntil(mutex, SteadyTime::InfiniteFuture(), [&] { return ready; }));
  }
  other.join();
}

TEST(SteadyConditionTest, TheDeadlineEndsTheWaitNotBefore) {
  absl::Mutex mutex;
  SteadyCondition changed;
  const SteadyTime deadline = SteadyTime::Now() + absl::Milliseconds(30);
  absl::MutexLock lock(&mutex);
  EXPECT_FALSE(changed.AwaitUntil(mutex, deadline, [] { return false; }));
  EXPECT_GE(SteadyTime::Now(), deadline);
}

TEST(SteadyConditionTest, WhatHoldsAlreadyDoesNotWait) {
  absl::Mutex mutex;
  SteadyCondition changed;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(changed.AwaitUntil(mutex, SteadyTime::InfinitePast(), [] { return true; }));
  EXPECT_FALSE(changed.AwaitUntil(mutex, SteadyTime::InfinitePast(), [] { return false; }));
}

}  // namespace
}  // namespace sdar
