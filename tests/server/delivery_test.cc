// SPDX-License-Identifier: Apache-2.0
// Updates reach their callbacks in order, on another thread, all of them.
#include "runtime/server/delivery.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

SequenceUpdate Text(const std::string& text) {
  SequenceUpdate update;
  update.text = text;
  return update;
}

TEST(DeliveryTest, PassesUpdatesOnInOrderAndAllOfThemBeforeItGoes) {
  constexpr int kUpdates = 1000;
  std::vector<std::string> got;
  {
    Delivery delivery;
    const UpdateCallback later =
        delivery.Later([&](SequenceUpdate update) { got.push_back(update.text); });
    for (int i = 0; i < kUpdates; ++i) later(Text(std::to_string(i)));
  }
  ASSERT_EQ(got.size(), static_cast<size_t>(kUpdates));
  for (int i = 0; i < kUpdates; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], std::to_string(i));
}

TEST(DeliveryTest, KeepsTheOrderOfEveryCallbackThoughManyThreadsPost) {
  constexpr int kThreads = 4;
  constexpr int kUpdates = 2000;
  std::vector<std::vector<std::string>> got(kThreads);
  {
    Delivery delivery;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      std::vector<std::string>& mine = got[static_cast<size_t>(t)];
      threads.emplace_back(
          [later = delivery.Later([&mine](SequenceUpdate u) { mine.push_back(u.text); })] {
            for (int i = 0; i < kUpdates; ++i) later(Text(std::to_string(i)));
          });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (const std::vector<std::string>& mine : got) {
    ASSERT_EQ(mine.size(), static_cast<size_t>(kUpdates));
    for (int i = 0; i < kUpdates; ++i) EXPECT_EQ(mine[static_cast<size_t>(i)], std::to_string(i));
  }
}

TEST(DeliveryTest, DoesNotWaitForACallbackThatTakesItsTime) {
  absl::Notification go;
  int got = 0;
  {
    Delivery delivery;
    const UpdateCallback later = delivery.Later([&](SequenceUpdate) {
      go.WaitForNotification();
      ++got;
    });
    later(Text("one"));  // returns though the callback waits
    later(Text("two"));
    go.Notify();
  }
  EXPECT_EQ(got, 2);
}

}  // namespace
}  // namespace sdar
