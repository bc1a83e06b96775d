// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/agreement.h"

#include <functional>
#include <memory>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "parallel/local_communicator.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// What `body` returns on each of `ranks` threads that form a group.
std::vector<absl::Status> OnRanks(int ranks,
                                  const std::function<absl::Status(Communicator&)>& body) {
  auto group = std::make_shared<LocalGroup>(ranks);
  std::vector<absl::Status> results(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      LocalCommunicator communicator(group, rank);
      results[static_cast<size_t>(rank)] = body(communicator);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

TEST(AgreementTest, EveryRankGetsTheStatusOfTheLowestThatFailed) {
  const auto results = OnRanks(4, [](Communicator& c) {
    return AgreeOnStatus(
        c, c.rank() < 2 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("file ", c.rank())));
  });
  for (const absl::Status& status : results) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, "rank 2: file 2"));
  }
}

TEST(AgreementTest, IsOkWhereEverybodyIs) {
  for (const absl::Status& status :
       OnRanks(3, [](Communicator& c) { return AgreeOnStatus(c, absl::OkStatus()); })) {
    EXPECT_THAT(status, IsOk());
  }
}

TEST(AgreementTest, NamesTheValueThatDiffersAndTheRanks) {
  const auto results = OnRanks(3, [](Communicator& c) {
    return AgreeOnValues(c, {{"config.json", "same"}, {"flags", c.rank() == 2 ? "b" : "a"}});
  });
  for (const absl::Status& status : results) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("ranks 0 and 2 differ in flags")));
  }
}

TEST(AgreementTest, FindsTheMinimumOnEveryRank) {
  for (const absl::Status& status : OnRanks(4, [](Communicator& c) -> absl::Status {
         auto minimum = MinimumOverRanks(c, 10 - c.rank());
         if (!minimum.ok()) return minimum.status();
         return *minimum == 7 ? absl::OkStatus() : absl::InternalError(absl::StrCat(*minimum));
       })) {
    EXPECT_THAT(status, IsOk());
  }
}

TEST(AgreementTest, GathersStringsInRankOrderCutTo255Bytes) {
  for (const absl::Status& status : OnRanks(2, [](Communicator& c) -> absl::Status {
         auto all = GatherStrings(c, c.rank() == 0 ? "zero" : std::string(1000, 'x'));
         if (!all.ok()) return all.status();
         EXPECT_EQ(*all, (std::vector<std::string>{"zero", std::string(255, 'x')}));
         return absl::OkStatus();
       })) {
    EXPECT_THAT(status, IsOk());
  }
}

}  // namespace
}  // namespace sdar
