// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/text_workers.h"

#include <atomic>
#include <new>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

#include "runtime/cluster/retry_delay.h"

namespace sdar {
namespace {

constexpr size_t kLarge = size_t{1} << 20;

TEST(TextWorkersTest, SmallTextsPassLargeOnesBy) {
  TextWorkers workers({});
  absl::Notification go, small_done;
  std::atomic<int> large_done{0};
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(workers
                    .Run(kLarge,
                         [&](const absl::Status&) {
                           go.WaitForNotification();
                           ++large_done;
                         })
                    .ok());
  }
  ASSERT_TRUE(workers.Run(10, [&](const absl::Status&) { small_done.Notify(); }).ok());
  small_done.WaitForNotification();
  go.Notify();
  absl::Notification last;
  ASSERT_TRUE(workers.Run(kLarge, [&](const absl::Status&) { last.Notify(); }).ok());
  last.WaitForNotification();
  EXPECT_EQ(large_done, 4);
}

TEST(TextWorkersTest, AFullQueueRefusesWithADelay) {
  TextWorkersOptions options;
  options.max_waiting = 2;
  TextWorkers workers(options);
  absl::Notification begun, go;
  const auto wait = [&](const absl::Status&) { go.WaitForNotification(); };
  ASSERT_TRUE(workers
                  .Run(kLarge,
                       [&](const absl::Status&) {
                         begun.Notify();
                         go.WaitForNotification();
                       })
                  .ok());
  begun.WaitForNotification();
  ASSERT_TRUE(workers.Run(kLarge, wait).ok());
  ASSERT_TRUE(workers.Run(kLarge, wait).ok());
  const absl::Status full = workers.Run(kLarge, wait);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelay(full).has_value());
  go.Notify();
}

TEST(TextWorkersTest, WhatThrowsIsToldSo) {
  TextWorkers workers({});
  absl::Notification told;
  ASSERT_TRUE(workers
                  .Run(1,
                       [&](const absl::Status& ready) {
                         if (ready.ok()) throw std::bad_alloc();
                         EXPECT_EQ(ready.code(), absl::StatusCode::kInternal);
                         told.Notify();
                       })
                  .ok());
  told.WaitForNotification();
}

TEST(TextWorkersTest, AtTheEndWhatWaitsIsRefused) {
  TextWorkers workers({});
  absl::Notification begun, go;
  std::atomic<bool> refused{false};
  ASSERT_TRUE(workers
                  .Run(kLarge,
                       [&](const absl::Status&) {
                         begun.Notify();
                         go.WaitForNotification();
                       })
                  .ok());
  begun.WaitForNotification();
  ASSERT_TRUE(workers
                  .Run(kLarge,
                       [&](const absl::Status& ready) {
                         refused = absl::IsUnavailable(ready);
                         go.Notify();
                       })
                  .ok());
  workers.Stop();
  EXPECT_TRUE(refused);
  EXPECT_TRUE(absl::IsUnavailable(workers.Run(1, [](const absl::Status&) {})));
}

}  // namespace
}  // namespace sdar
