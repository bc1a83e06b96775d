// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace sdar {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  static ThreadPool::Options Options() {
    return {std::get<0>(GetParam()), {}, std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(Teams, ThreadPoolTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 8), ::testing::Bool()));

TEST_P(ThreadPoolTest, PartsCoverEveryCountExactlyOnce) {
  ThreadPool pool(Options());
  for (int64_t count : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
    std::vector<int> visits(static_cast<size_t>(count));
    pool.Run(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(count), 1)) << count;
  }
}

TEST_P(ThreadPoolTest, EmptyPartsAreNotCalled) {
  ThreadPool pool(Options());
  for (int64_t count : {0, 1, 2, 5}) {
    pool.Run(count, [&](int64_t begin, int64_t end) { EXPECT_LT(begin, end); });
  }
}

TEST_P(ThreadPoolTest, TheSplitDependsOnlyOnTheCount) {
  ThreadPool pool(Options());
  std::vector<int64_t> first;
  for (int round = 0; round < 20; ++round) {
    std::mutex mutex;
    std::vector<int64_t> bounds;
    pool.Run(1000, [&](int64_t begin, int64_t end) {
      const std::lock_guard<std::mutex> lock(mutex);
      bounds.insert(bounds.end(), {begin, end});
    });
    std::sort(bounds.begin(), bounds.end());
    if (round == 0) first = bounds;
    EXPECT_EQ(bounds, first);
  }
}

// The caller sees what the workers wrote, and workers what the caller wrote between loops.
TEST_P(ThreadPoolTest, ManyLoopsInARowSeeEachOthersWrites) {
  ThreadPool pool(Options());
  std::vector<int64_t> values(64);
  for (int64_t round = 0; round < 3000; ++round) {
    pool.Run(64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++values[static_cast<size_t>(63 - i)];
    });
    values[static_cast<size_t>(round % 64)] += 0;
  }
  EXPECT_EQ(values, std::vector<int64_t>(64, 3000));
}

TEST_P(ThreadPoolTest, BalancedLoopsVisitEveryIndexExactlyOnce) {
  ThreadPool pool(Options());
  for (int64_t count : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
    std::vector<int> visits(static_cast<size_t>(count));
    for (int round = 0; round < 20; ++round) {
      pool.RunBalanced(count, [&](int64_t index, int) { ++visits[static_cast<size_t>(index)]; });
    }
    EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(count), 20)) << count;
  }
}

// The first index ends when all others have: those of its own thread are done by another one.
TEST_P(ThreadPoolTest, ThreadsTakeWhatASlowOneHasLeft) {
  ThreadPool pool(Options());
  if (pool.num_threads() == 1) return;
  constexpr int64_t kCount = 100;
  std::atomic<int64_t> done{0};
  pool.RunBalanced(kCount, [&](int64_t index, int) {
    while (index == 0 && done < kCount - 1) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, kCount);
}

TEST_P(ThreadPoolTest, ThreadsOfABalancedLoopHaveNumbersOfTheirOwn) {
  ThreadPool pool(Options());
  std::vector<int64_t> calls(static_cast<size_t>(pool.num_threads()));
  for (int round = 0; round < 100; ++round) {
    pool.RunBalanced(50, [&](int64_t, int thread) { ++calls[static_cast<size_t>(thread)]; });
  }
  EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), int64_t{0}), 5000);
}

TEST_P(ThreadPoolTest, APoolMayBeDestroyedWithoutEverRunning) {
  for (int i = 0; i < 100; ++i) ThreadPool pool(Options());
}

TEST_P(ThreadPoolTest, APoolMayBeDestroyedRightAfterALoop) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(Options());
    std::atomic<int64_t> sum{0};
    pool.Run(10, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 10);
  }
}

TEST(ThreadPoolPinningTest, ACpuThatDoesNotExistIsIgnored) {
  ThreadPool pool({2, {0, 1000}, true});
  std::atomic<int64_t> sum{0};
  pool.Run(10, [&](int64_t begin, int64_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 10);
}

}  // namespace
}  // namespace sdar
