// SPDX-License-Identifier: Apache-2.0
// The job's queue before replicas that do what the test says.
#include "runtime/cluster/router.h"

#include <atomic>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/cluster/router_fixture.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RouterTest, GivesWhatComesToTheReplicaWhileItHasSlots) {
  RouterFixture f(1);
  for (TokenId name : {1, 2, 3, 4}) f.Submit(name);
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 2));
  EXPECT_EQ(f.router->GetStatus().total.waiting, 2);
  f.fakes[0].EndOldest();
  EXPECT_THAT(f.ends.Of(1), IsOk());
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 2, 3));
}

TEST(RouterTest, HigherPriorityGoesFirstAndEqualOnesInTheOrderTheyCame) {
  RouterFixture f(1);
  f.Submit(1, 2);
  f.Submit(2, 1, 0);
  f.Submit(3, 1, -5);
  f.Submit(4, 1, 7);
  f.Submit(5, 1, 7);
  f.Submit(6, 1, 0);
  while (f.fakes[0].num_running() > 0) f.fakes[0].EndOldest();
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1, 4, 5, 2, 6, 3));
}

TEST(RouterTest, SamplesOfARequestGoTogetherAndThoseBehindWaitForThem) {
  RouterFixture f(2);
  f.Submit(1);
  f.Submit(2);
  f.Submit(3, 2);  // no replica has two slots
  f.Submit(4);     // would fit, and waits for its turn
  EXPECT_EQ(f.router->GetStatus().total.waiting, 3);
  f.fakes[1].EndOldest();
  EXPECT_THAT(f.fakes[1].given(), ElementsAre(2, 3, 3));
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 4));
}

TEST(RouterTest, MoreSamplesThanSlotsGoToAReplicaThatHasNothing) {
  RouterFixture f(1);
  f.Submit(1);
  f.Submit(2, 5);
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1));
  f.fakes[0].EndOldest();
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 2, 2, 2, 2, 2));
}

TEST(RouterTest, AFullQueueRefusesAllSamplesOfARequestWithARetryDelay) {
  RouterFixture f(1);
  f.Submit(1, 2);
  f.Submit(2, 4);
  const auto refused = f.router->Submit(f.Make(3, 3));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("4 sequences")));
  ASSERT_TRUE(RetryDelay(refused.status()).has_value());
  EXPECT_GE(*RetryDelay(refused.status()), absl::Milliseconds(100));
  EXPECT_LE(*RetryDelay(refused.status()), absl::Seconds(60));
  f.Submit(4, 2);
  EXPECT_EQ(f.router->GetStatus().total.waiting, 6);
  while (f.fakes[0].num_running() > 0) f.fakes[0].EndOldest();
  EXPECT_EQ(f.ends.CountOf(3), 0u);
  EXPECT_EQ(f.ends.size(), 8u);
}

TEST(RouterTest, PromptTokensInTheQueueAreBoundedOncePerRequest) {
  RouterFixture f(1);
  f.Submit(1, 2);
  std::vector<Submission> big = f.Make(2, 3);
  for (Submission& sample : big) sample.request.prompt.assign(600, 2);
  f.Submit(big);
  big.resize(1);
  EXPECT_THAT(f.router->Submit(big),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("600 prompt tokens")));
}

TEST(RouterTest, TargetsThatWaitCountAsTheirPromptDoes) {
  RouterFixture f(1);
  f.Submit(1, 2);
  std::vector<Submission> score = f.Make(2);
  score[0].request.targets.assign(600, 3);
  f.Submit(score);
  EXPECT_THAT(f.router->Submit(score),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("601 prompt tokens")));
}

TEST(RouterTest, TheBoundsAreForWhatWaits) {
  RouterConfig config = SmallConfig();
  config.max_waiting = 0;
  RouterFixture f(1, config);
  f.Submit(1, 5);
  EXPECT_THAT(f.router->Submit(f.Make(2)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("queue")));
}

TEST(RouterTest, WhatCanNeverRunIsRefusedByName) {
  RouterFixture f(1);
  std::vector<Submission> samples = f.Make(1, 2);
  samples[1].request.stopping.max_tokens = 0;
  EXPECT_THAT(f.router->Submit(std::move(samples)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_tokens")));
  EXPECT_THAT(f.fakes[0].given(), IsEmpty());
  EXPECT_FALSE(RetryDelay(absl::InvalidArgumentError("max_tokens")).has_value());
}

TEST(RouterTest, ACancelledSequenceLeavesTheQueueAndTheOthersOfItsRequestStay) {
  RouterFixture f(1);
  f.Submit(1, 2);
  const std::vector<SequenceId> ids = f.Submit(2, 2);
  f.router->Cancel(ids[0], absl::CancelledError("by the test"));
  EXPECT_THAT(f.ends.Of(2), StatusIs(absl::StatusCode::kCancelled, HasSubstr("test")));
  EXPECT_EQ(f.router->GetStatus().total.waiting, 1);
  while (f.fakes[0].num_running() > 0) f.fakes[0].EndOldest();
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1, 2));
  EXPECT_EQ(f.ends.size(), 4u);
}

TEST(RouterTest, WhatWaitedBehindACancelledRequestGoesAtOnce) {
  RouterFixture f(1);
  f.Submit(1);
  const std::vector<SequenceId> wide = f.Submit(2, 2);
  f.Submit(3);
  f.router->Cancel(wide[0], absl::CancelledError(""));
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 2));
  f.router->Cancel(wide[1], absl::CancelledError(""));
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 2, 3));
}

TEST(RouterTest, ARunningSequenceIsCancelledAtItsReplica) {
  RouterFixture f(2);
  f.Submit(1);
  const std::vector<SequenceId> ids = f.Submit(2);
  f.router->Cancel(ids[0], absl::CancelledError("by the test"));
  EXPECT_THAT(f.ends.Of(2), StatusIs(absl::StatusCode::kCancelled, HasSubstr("test")));
  EXPECT_EQ(f.fakes[1].num_running(), 0u);
  f.router->Cancel(ids[0], absl::CancelledError("again"));
  EXPECT_EQ(f.ends.CountOf(2), 1u);
}

TEST(RouterTest, ACancelDuringTheHandoverReachesTheReplica) {
  FakeReplica fake;
  Replica replica = fake.AsReplica();
  Router* router = nullptr;
  const auto submit = replica.submit;
  replica.submit = [&](std::vector<Submission> samples) {
    router->Cancel(SequenceId(1), absl::CancelledError("early"));
    return submit(std::move(samples));
  };
  Ends ends;
  Router made(SmallConfig(), {replica});
  router = &made;
  Submission sample;
  sample.request.prompt = {1};
  sample.request.stopping.max_tokens = 10;
  sample.callback = ends.For(1);
  ASSERT_THAT(made.Submit({sample}), IsOk());
  EXPECT_THAT(ends.Of(1), StatusIs(absl::StatusCode::kCancelled, "early"));
  EXPECT_EQ(fake.num_running(), 0u);
}

TEST(RouterTest, ADeadlineThatPassesInTheQueueEndsTheSequence) {
  RouterFixture f(1);
  f.Submit(1, 2);
  std::vector<Submission> late = f.Make(2);
  late[0].request.deadline = SteadyTime::Now() + absl::Milliseconds(20);
  f.Submit(std::move(late));
  std::vector<Submission> sooner = f.Make(3);
  sooner[0].request.deadline = SteadyTime::Now() + absl::Milliseconds(5);
  f.Submit(std::move(sooner));
  std::vector<Submission> patient = f.Make(4);
  patient[0].request.deadline = SteadyTime::Now() + absl::Hours(1);
  f.Submit(std::move(patient));
  f.ends.Await(2);
  EXPECT_THAT(f.ends.Of(2), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("queue")));
  EXPECT_THAT(f.ends.Of(3), StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("queue")));
  EXPECT_EQ(f.router->GetStatus().total.waiting, 1);
  f.fakes[0].EndOldest();
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1, 4));
}

TEST(RouterTest, TheLeastLoadedReplicaByRowsIsChosen) {
  RouterFixture f(3);
  std::vector<Submission> long_one = f.Make(1);
  long_one[0].request.stopping.max_tokens = 500;
  f.Submit(std::move(long_one));
  std::vector<Submission> middle = f.Make(2);
  middle[0].request.stopping.max_tokens = 100;
  f.Submit(std::move(middle));
  for (TokenId name : {3, 4, 5}) f.Submit(name);
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1));
  EXPECT_THAT(f.fakes[1].given(), ElementsAre(2, 5));  // the third has no slot left
  EXPECT_THAT(f.fakes[2].given(), ElementsAre(3, 4));
}

// A request whose prompt starts with `pages` pages of `token`.
std::vector<Submission> WithPrefix(RouterFixture& f, TokenId token, int64_t pages, TokenId tail) {
  std::vector<Submission> samples = f.Make(token);
  samples[0].request.prompt.assign(static_cast<size_t>(pages * kPage), token);
  samples[0].request.prompt.push_back(tail);
  return samples;
}

TEST(RouterTest, APromptGoesWhereItsLongestLeadingPagesWentLast) {
  RouterConfig config = SmallConfig();
  config.slots = 10;
  RouterFixture f(2, config);
  f.Submit(WithPrefix(f, 1, 2, 9));  // to the first
  f.Submit(WithPrefix(f, 2, 2, 9));  // to the second, which has less
  f.Submit(WithPrefix(f, 2, 2, 8));
  f.Submit(WithPrefix(f, 2, 3, 7));
  f.Submit(WithPrefix(f, 1, 2, 6));
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1));
  EXPECT_THAT(f.fakes[1].given(), ElementsAre(2, 2, 2));
}

TEST(RouterTest, AffinityEndsWhereTheReplicaIsTooBusyOrFull) {
  RouterConfig config = SmallConfig();
  config.slots = 3;
  config.affinity_rows = 60;  // a request below has 27 rows
  RouterFixture f(2, config);
  for (TokenId tail : {1, 2, 3}) f.Submit(WithPrefix(f, 1, 2, tail));
  EXPECT_EQ(f.fakes[0].given().size(), 3u);  // 54 rows more than the other: still preferred
  f.Submit(WithPrefix(f, 1, 2, 4));          // full
  EXPECT_EQ(f.fakes[1].given().size(), 1u);

  config.slots = 10;
  RouterFixture g(2, config);
  for (TokenId tail : {1, 2, 3}) g.Submit(WithPrefix(g, 1, 2, tail));
  g.Submit(WithPrefix(g, 1, 2, 4));  // 81 rows more than the other
  EXPECT_EQ(g.fakes[0].given().size(), 3u);
  EXPECT_EQ(g.fakes[1].given().size(), 1u);
}

TEST(RouterTest, WhatAReplicaRefusesEndsWithItsStatus) {
  RouterFixture f(1);
  f.fakes[0].Refuse(absl::UnavailableError("not now"));
  f.Submit(1, 2);
  EXPECT_EQ(f.ends.CountOf(1), 2u);
  EXPECT_THAT(f.ends.Of(1), StatusIs(absl::StatusCode::kUnavailable, "not now"));
  f.fakes[0].Refuse(absl::OkStatus());
  f.Submit(2, 2);
  EXPECT_EQ(f.fakes[0].num_running(), 2u);  // the slots were given back
}

TEST(RouterTest, AReplicaMayEndASequenceBeforeItsSubmitReturns) {
  RouterFixture f(1);
  f.Submit(1, 2);
  for (TokenId name : {2, 3, 4, 5}) f.Submit(name);
  f.fakes[0].EndAtOnce();
  f.fakes[0].EndOldest();
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1, 2, 3, 4, 5));
  EXPECT_EQ(f.ends.size(), 5u);
}

TEST(RouterTest, StopEndsWhatWaitsAndRefusesWhatComes) {
  RouterFixture f(1);
  f.Submit(1, 2);
  f.Submit(2);
  f.Submit(3, 2);
  f.router->Stop(absl::UnavailableError("stopping"));
  EXPECT_EQ(f.ends.size(), 3u);
  EXPECT_THAT(f.ends.Of(2), StatusIs(absl::StatusCode::kUnavailable, "stopping"));
  EXPECT_THAT(f.router->Submit(f.Make(4)), StatusIs(absl::StatusCode::kUnavailable, "stopping"));
  f.fakes[0].EndOldest();
  EXPECT_THAT(f.ends.Of(1), IsOk());
  EXPECT_THAT(f.fakes[0].given(), ElementsAre(1, 1));
}

TEST(RouterTest, StatusSumsTheReplicasAndAddsTheQueue) {
  RouterFixture f(2);
  for (TokenId name = 1; name <= 6; ++name) f.Submit(name);
  const RouterStatus status = f.router->GetStatus();
  EXPECT_EQ(status.total.running, 4);
  EXPECT_EQ(status.total.waiting, 2);
  EXPECT_EQ(status.total.total_slots, 8);
  EXPECT_EQ(status.total.finished_steps, 20u);
  ASSERT_EQ(status.replicas.size(), 2u);
  EXPECT_EQ(status.replicas[1].running, 2);
}

// Clients that submit and cancel, and replicas that end, all at once: every accepted sequence ends
// exactly once and nothing is left.
TEST(RouterTest, ManyThreadsLeaveNothingBehind) {
  RouterConfig config = SmallConfig();
  config.max_waiting = 20;
  RouterFixture f(3, config);
  std::atomic<size_t> accepted{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> clients, engines;
  for (unsigned c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937 random(c);
      for (int i = 0; i < 500; ++i) {
        std::vector<Submission> samples =
            f.Make(static_cast<TokenId>(1 + random() % 50), 1 + static_cast<int>(random() % 3),
                   static_cast<int>(random() % 3));
        if (random() % 4 == 0) {
          const auto soon = absl::Microseconds(static_cast<int64_t>(random() % 2000));
          for (Submission& sample : samples) sample.request.deadline = SteadyTime::Now() + soon;
        }
        const auto ids = f.router->Submit(std::move(samples));
        if (!ids.ok()) continue;
        accepted += ids->size();
        if (random() % 3 == 0) f.router->Cancel((*ids)[0], absl::CancelledError(""));
      }
    });
  }
  for (FakeReplica& fake : f.fakes) {
    engines.emplace_back([&] {
      while (!done.load()) fake.EndOldest();
    });
  }
  for (std::thread& client : clients) client.join();
  f.ends.Await(accepted.load());
  done.store(true);
  for (std::thread& engine : engines) engine.join();
  EXPECT_EQ(f.ends.size(), accepted.load());
  EXPECT_EQ(f.router->GetStatus().total.waiting, 0);
  EXPECT_EQ(f.router->GetStatus().total.running, 0);
}

}  // namespace
}  // namespace sdar
