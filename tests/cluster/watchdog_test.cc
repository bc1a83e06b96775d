// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/watchdog.h"

#include <memory>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// Short, so that the tests are; nothing is asserted about how long anything takes.
WatchdogOptions Quick() {
  WatchdogOptions options;
  options.beat_interval = absl::Milliseconds(20);
  options.max_silence = absl::Seconds(30);
  return options;
}

StepProgress Idle() { return {}; }

// The first failure that is reported.
struct Failure {
  absl::Notification happened;
  absl::Status status;
  std::function<void(const absl::Status&)> Recorder() {
    return [this](const absl::Status& reported) {
      if (happened.HasBeenNotified()) return;
      status = reported;
      happened.Notify();
    };
  }
};

TEST(WatchdogTest, ARingWakesEveryRank) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 3, 3, Idle, failure.Recorder());
  auto address = server.Start("127.0.0.1");
  ASSERT_THAT(address, IsOk());
  Doorbell bells[2];
  WatchdogClient one(Quick(), 1, *address, bells[0], Idle, lost.Recorder());
  WatchdogClient two(Quick(), 2, *address, bells[1], Idle, lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  for (uint64_t ring = 1; ring <= 20; ++ring) {
    server.Ring(ring);
    for (Doorbell& bell : bells) bell.WaitFor(ring);
  }
  server.StopWatching();
}

TEST(WatchdogTest, ARingWakesTheRanksOfItsOwnGroupOnly) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 4, 2, Idle, failure.Recorder());
  auto address = server.Start("127.0.0.1");
  ASSERT_THAT(address, IsOk());
  Doorbell bells[4];
  std::vector<std::unique_ptr<WatchdogClient>> clients;
  for (int rank : {1, 2, 3}) {
    clients.push_back(std::make_unique<WatchdogClient>(Quick(), rank, *address, bells[rank], Idle,
                                                       lost.Recorder()));
  }
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  for (uint64_t ring = 1; ring <= 20; ++ring) {
    clients[1]->Ring(ring);
    bells[3].WaitFor(ring);
  }
  server.Ring(5);
  bells[1].WaitFor(5);
  EXPECT_LT(bells[1].rings(), 20u);
  server.StopWatching();
}

TEST(WatchdogTest, KnowsTheStepsThatRanksHaveFinished) {
  Failure failure, lost;
  WatchdogServer server(
      Quick(), 2, 2,
      [] {
        return StepProgress{7, absl::ZeroDuration()};
      },
      failure.Recorder());
  Doorbell bell;
  WatchdogClient client(
      Quick(), 1, *server.Start("127.0.0.1"), bell,
      [] {
        return StepProgress{42, absl::Seconds(3)};
      },
      lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  EXPECT_EQ(server.Health()[0].finished_steps, 7u);
  EXPECT_EQ(server.Health()[1].finished_steps, 42u);
  EXPECT_EQ(server.Health()[1].step_age, absl::Seconds(3));
  server.StopWatching();
}

TEST(WatchdogTest, AStuckStepOfAnotherRankIsAFailureThatNamesIt) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 2, 1, Idle, failure.Recorder());
  Doorbell bell;
  WatchdogClient client(
      Quick(), 1, *server.Start("127.0.0.1"), bell,
      [] {
        return StepProgress{7, absl::Seconds(61)};
      },
      lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  failure.happened.WaitForNotification();
  EXPECT_THAT(failure.status, StatusIs(absl::StatusCode::kAborted, HasSubstr("step of rank 1")));
}

TEST(WatchdogTest, ARankThatLeavesIsAFailureThatNamesIt) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 2, 2, Idle, failure.Recorder());
  Doorbell bell;
  auto client = std::make_unique<WatchdogClient>(Quick(), 1, *server.Start("127.0.0.1"), bell, Idle,
                                                 lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  client.reset();
  failure.happened.WaitForNotification();
  EXPECT_THAT(failure.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rank 1")));
}

TEST(WatchdogTest, AStuckStepIsAFailure) {
  Failure failure, lost;
  WatchdogServer server(
      Quick(), 2, 2,
      [] {
        return StepProgress{7, absl::Seconds(61)};
      },
      failure.Recorder());
  Doorbell bell;
  WatchdogClient client(Quick(), 1, *server.Start("127.0.0.1"), bell, Idle, lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  failure.happened.WaitForNotification();
  EXPECT_THAT(failure.status, StatusIs(absl::StatusCode::kAborted, HasSubstr("step")));
}

StepProgress WithoutPeers() {
  StepProgress progress;
  progress.collectives = absl::UnavailableError("a peer is unreachable");
  return progress;
}

TEST(WatchdogTest, WhatTheCollectivesOfRankZeroHaveMetIsAFailure) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 2, 2, WithoutPeers, failure.Recorder());
  Doorbell bell;
  WatchdogClient client(Quick(), 1, *server.Start("127.0.0.1"), bell, Idle, lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  failure.happened.WaitForNotification();
  EXPECT_THAT(failure.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("unreachable")));
}

TEST(WatchdogTest, WhatTheCollectivesOfAnotherRankHaveMetEndsThatRank) {
  Failure failure, lost;
  WatchdogServer server(Quick(), 2, 2, Idle, failure.Recorder());
  Doorbell bell;
  WatchdogClient client(Quick(), 1, *server.Start("127.0.0.1"), bell, WithoutPeers,
                        lost.Recorder());
  lost.happened.WaitForNotification();
  EXPECT_THAT(lost.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("unreachable")));
}

TEST(WatchdogTest, ASilentRankIsAFailureThatNamesIt) {
  WatchdogOptions impatient = Quick();
  impatient.max_silence = absl::Milliseconds(100);
  WatchdogOptions slow = Quick();
  slow.beat_interval = absl::Seconds(60);
  Failure failure, lost;
  WatchdogServer server(impatient, 2, 2, Idle, failure.Recorder());
  Doorbell bell;
  WatchdogClient client(slow, 1, *server.Start("127.0.0.1"), bell, Idle, lost.Recorder());
  ASSERT_THAT(server.AwaitRanks(absl::Seconds(30)), IsOk());
  failure.happened.WaitForNotification();
  EXPECT_THAT(failure.status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rank 1 has been silent")));
}

TEST(WatchdogTest, ARankNoticesThatRankZeroIsGone) {
  Failure failure, lost;
  auto server = std::make_unique<WatchdogServer>(Quick(), 2, 2, Idle, failure.Recorder());
  Doorbell bell;
  WatchdogClient client(Quick(), 1, *server->Start("127.0.0.1"), bell, Idle, lost.Recorder());
  ASSERT_THAT(server->AwaitRanks(absl::Seconds(30)), IsOk());
  server.reset();
  lost.happened.WaitForNotification();
  EXPECT_THAT(lost.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rank 0")));
}

TEST(WatchdogTest, NamesTheRanksThatNeverCame) {
  Failure failure;
  WatchdogServer server(Quick(), 3, 3, Idle, failure.Recorder());
  ASSERT_THAT(server.Start("127.0.0.1"), IsOk());
  EXPECT_THAT(server.AwaitRanks(absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("1, 2")));
}

}  // namespace
}  // namespace sdar
