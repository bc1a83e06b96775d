// SPDX-License-Identifier: Apache-2.0
#include "parallel/local_communicator.h"

#include <atomic>
#include <functional>
#include <thread>

#include "tests/parallel/communicator_conformance.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// Runs `body` on every rank of a new group, each on a thread of its own.
std::vector<absl::Status> OnEveryRank(int size,
                                      const std::function<absl::Status(LocalCommunicator&)>& body) {
  auto group = std::make_shared<LocalGroup>(size);
  std::vector<absl::Status> results(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      LocalCommunicator communicator(group, rank);
      results[static_cast<size_t>(rank)] = body(communicator);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

class LocalConformanceTest : public ::testing::TestWithParam<std::tuple<int, NamedCheck>> {};

TEST_P(LocalConformanceTest, Holds) {
  const auto [size, check] = GetParam();
  for (const absl::Status& status : OnEveryRank(size, check.check)) EXPECT_THAT(status, IsOk());
}

INSTANTIATE_TEST_SUITE_P(Groups, LocalConformanceTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 7),
                                            ::testing::ValuesIn(kConformanceChecks)),
                         [](const auto& test) {
                           return absl::StrCat(std::get<1>(test.param).name, "On",
                                               std::get<0>(test.param));
                         });

TEST(LocalCommunicatorTest, ABarrierHoldsEverybodyUntilTheLastArrives) {
  std::atomic<int> arrived{0};
  const auto results = OnEveryRank(4, [&](LocalCommunicator& c) {
    for (int round = 1; round <= 100; ++round) {
      ++arrived;
      SDAR_RETURN_IF_ERROR(c.Barrier());
      SDAR_RETURN_IF_ERROR(Expect(arrived >= 4 * round, "left a barrier early"));
      SDAR_RETURN_IF_ERROR(c.Barrier());
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : results) EXPECT_THAT(status, IsOk());
}

TEST(LocalCommunicatorTest, AbortWakesThoseWhoWaitWithItsReason) {
  const auto results = OnEveryRank(3, [](LocalCommunicator& c) {
    if (c.rank() == 2) {
      c.Abort("out of paper");
      return absl::OkStatus();
    }
    float value = 1;
    return c.AllReduceSum(&value, 1);
  });
  for (int rank : {0, 1}) {
    EXPECT_THAT(results[static_cast<size_t>(rank)],
                StatusIs(absl::StatusCode::kAborted, HasSubstr("out of paper")));
  }
}

TEST(LocalCommunicatorTest, AfterAnAbortEveryCollectiveFailsAtOnce) {
  const auto results = OnEveryRank(2, [](LocalCommunicator& c) {
    c.Abort("over");
    int64_t value = 0;
    EXPECT_TRUE(absl::IsAborted(c.Barrier()));
    EXPECT_TRUE(absl::IsAborted(c.Broadcast(&value, 8, 0)));
    return c.Barrier();
  });
  for (const absl::Status& status : results) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted, ::testing::_));
  }
}

TEST(LocalCommunicatorTest, ASingleRankIsItsOwnGroup) {
  const auto single = MakeSingleCommunicator();
  EXPECT_EQ(single->rank(), 0);
  EXPECT_EQ(single->size(), 1);
  for (const NamedCheck& check : kConformanceChecks) {
    EXPECT_THAT(check.check(*single), IsOk()) << check.name;
  }
}

TEST(SliceTest, SlicesCoverEveryCount) {
  for (int size = 1; size <= 9; ++size) {
    for (int64_t count : {int64_t{0}, int64_t{1}, int64_t{8}, int64_t{1} << 40}) {
      EXPECT_EQ(SliceBegin(count, 0, size), 0);
      EXPECT_EQ(SliceBegin(count, size, size), count);
      for (int r = 0; r < size; ++r) {
        EXPECT_LE(SliceBegin(count, r, size), SliceBegin(count, r + 1, size));
      }
    }
  }
}

}  // namespace
}  // namespace sdar
