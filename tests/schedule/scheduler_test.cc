// SPDX-License-Identifier: Apache-2.0
// The scheduler's rules, one at a time.
#include "runtime/schedule/scheduler.h"

#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/schedule/simulation.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using ::testing::_;

TEST(SchedulerTest, FusesThePromptsLastChunkWithTheFirstBlock) {
  Simulation simulation({4, 64, 8, 64, true});
  simulation.Add(SimulatedRequest(9, 4));
  ASSERT_TRUE(simulation.Step());
  ASSERT_EQ(simulation.last_plan().segments_size(), 1);
  const Segment& segment = simulation.last_plan().segments(0);
  EXPECT_EQ(segment.phase(), Segment::FUSED);
  EXPECT_EQ(segment.token_ids_size(), 12);
  EXPECT_EQ(CountMasked(simulation.last_plan()), 3);  // one position is the prompt's remainder
}

TEST(SchedulerTest, PlainCommitsInStepsOfTheirOwn) {
  Simulation simulation({4, 64, 8, 64, false});
  simulation.Add(SimulatedRequest(8, 8));
  ASSERT_TRUE(simulation.Step());
  EXPECT_EQ(simulation.last_plan().segments(0).phase(), Segment::PREFILL);
  while (simulation.last_plan().segments(0).phase() != Segment::COMMIT) {
    ASSERT_TRUE(simulation.Step());
  }
  EXPECT_EQ(simulation.last_plan().segments(0).token_ids_size(), 4);
}

TEST(SchedulerTest, TheLastBlockIsNeverCommitted) {
  for (bool fused : {true, false}) {
    Simulation simulation({4, 64, 8, 64, fused});
    simulation.Add(SimulatedRequest(4, 4));
    simulation.RunToEnd();
    EXPECT_EQ(simulation.last_plan().segments(0).phase(), Segment::DENOISE);
  }
}

TEST(SchedulerTest, ALongPromptComesInChunksThatLeaveTheOthersTheirRows) {
  Simulation simulation({4, 32, 64, 64, true});
  simulation.Add(SimulatedRequest(4, 400));
  ASSERT_TRUE(simulation.Step());
  simulation.Add(SimulatedRequest(1000, 4));
  int chunks = 0;
  while (simulation.ended().empty() && chunks < 60) {
    ASSERT_TRUE(simulation.Step());
    ASSERT_EQ(simulation.last_plan().segments_size(), 2);
    ++chunks;
  }
  EXPECT_GE(chunks, 1000 / 28);
}

TEST(SchedulerTest, PromptsAddNoMoreThanTheirShareToAStepInWhichOthersDecode) {
  SchedulerConfig config{8, 512, 256, 64, true};
  config.max_prefill_rows = 64;
  Simulation simulation(config);
  const SequenceId decoding = simulation.Add(SimulatedRequest(4, 200));
  ASSERT_TRUE(simulation.Step());
  for (int i = 0; i < 5; ++i) simulation.Add(SimulatedRequest(900 + i, 4));
  int steps = 0;
  while (simulation.ended().empty()) {
    ASSERT_TRUE(simulation.Step());
    int decode_rows = 0;
    bool first_runs = false;
    for (const Segment& segment : simulation.last_plan().segments()) {
      if (segment.token_ids_size() <= 8) decode_rows += segment.token_ids_size();
      first_runs |= segment.slot() == 0;
    }
    EXPECT_LE(CountRows(simulation.last_plan()) - decode_rows, 64);
    EXPECT_TRUE(first_runs);
    ++steps;
  }
  EXPECT_GE(steps, 900 / 64);
  EXPECT_FALSE(simulation.HasEnded(decoding));
}

TEST(SchedulerTest, PromptsFillTheStepsInWhichNobodyDecodes) {
  SchedulerConfig config{8, 512, 256, 64, true};
  config.max_prefill_rows = 64;
  Simulation simulation(config);
  simulation.Add(SimulatedRequest(2000, 4));
  ASSERT_TRUE(simulation.Step());
  EXPECT_EQ(CountRows(simulation.last_plan()), 512);
}

TEST(SchedulerTest, PromptsBesideOthersNeedNoMorePassesThanAlone) {
  SchedulerConfig config{16, 512, 256, 64, true};
  config.max_prefill_rows = 128;
  Simulation simulation(config);
  simulation.Add(SimulatedRequest(4, 400));
  ASSERT_TRUE(simulation.Step());
  // 202 tokens are two chunks of at most 128 rows. The second is fused with the first block.
  for (int i = 0; i < 8; ++i) simulation.Add(SimulatedRequest(202, 4));
  std::map<uint32_t, int> passes;
  std::set<uint32_t> prefilled;
  for (int step = 0; step < 100 && prefilled.size() < 8; ++step) {
    ASSERT_TRUE(simulation.Step());
    for (const Segment& segment : simulation.last_plan().segments()) {
      if (segment.slot() == 0 || prefilled.count(segment.slot()) > 0) continue;
      ++passes[segment.slot()];
      if (segment.phase() != Segment::PREFILL) prefilled.insert(segment.slot());
    }
  }
  EXPECT_EQ(prefilled.size(), 8u);
  for (const auto& [slot, count] : passes) EXPECT_LE(count, 2) << "slot " << slot;
}

TEST(SchedulerTest, APromptOfLargeBlocksIsPrefilledBesideAFullStepOfOthers) {
  Simulation simulation({8, 64, 64, 64, true});
  for (int i = 0; i < 6; ++i) simulation.Add(SimulatedRequest(8, 400, 8));
  ASSERT_TRUE(simulation.Step());
  const SequenceId large = simulation.Add(SimulatedRequest(320, 1, 32));
  for (int step = 0; step < 100 && !simulation.HasEnded(large); ++step) {
    ASSERT_TRUE(simulation.Step());
  }
  EXPECT_TRUE(simulation.HasEnded(large));
}

TEST(SchedulerTest, ABlockDoesNotWaitForTheSlowestOfItsBatch) {
  const auto steps_to_end = [](bool in_company) {
    Simulation simulation({8, 512, 64, 64, true});
    GenerationRequest quick = SimulatedRequest(8, 40, 8);
    quick.remasking.denoising_steps = 1;
    const SequenceId id = simulation.Add(quick);
    std::vector<SequenceId> slow;
    for (int i = 0; in_company && i < 4; ++i) {
      GenerationRequest other = SimulatedRequest(8, 40, 16);
      other.remasking.strategy = RemaskingStrategy::kSequential;
      slow.push_back(simulation.Add(other));
    }
    int steps = 0;
    for (; !simulation.HasEnded(id); ++steps) EXPECT_TRUE(simulation.Step());
    for (SequenceId other : slow) EXPECT_FALSE(simulation.HasEnded(other));
    return steps;
  };
  EXPECT_EQ(steps_to_end(true), steps_to_end(false));
}

TEST(SchedulerTest, FirstComeFirstServedWhenSlotsAreFew) {
  Simulation simulation({1, 64, 8, 64, true});
  for (int i = 0; i < 4; ++i) simulation.Add(SimulatedRequest(5, 6));
  uint64_t last = 0;
  while (simulation.Step()) {
    if (simulation.ended().size() == last) continue;
    ++last;
    EXPECT_TRUE(simulation.HasEnded(SequenceId(last)));
  }
  EXPECT_EQ(last, 4u);
}

TEST(SchedulerTest, AHigherPriorityStartsBeforeThoseWhoCameEarlier) {
  Simulation simulation({1, 64, 8, 64, true});
  simulation.Add(SimulatedRequest(5, 6));
  const SequenceId low = simulation.Add(SimulatedRequest(5, 6));
  GenerationRequest urgent = SimulatedRequest(5, 6);
  urgent.priority = 1;
  const SequenceId high = simulation.Add(urgent);
  while (!simulation.HasEnded(high)) ASSERT_TRUE(simulation.Step());
  EXPECT_FALSE(simulation.HasEnded(low));
}

TEST(SchedulerTest, ACancelBetweenPlanAndApplyIsHarmless) {
  Simulation simulation({4, 64, 8, 64, true});
  const SequenceId first = simulation.Add(SimulatedRequest(5, 40));
  simulation.Add(SimulatedRequest(5, 8));
  simulation.Between([&] { simulation.scheduler().Cancel(first, absl::CancelledError("gone")); });
  simulation.RunToEnd();
  EXPECT_THAT(simulation.ended().at(1).end.status, StatusIs(absl::StatusCode::kCancelled, "gone"));
  EXPECT_THAT(simulation.ended().at(2).end.status, IsOk());
  EXPECT_EQ(simulation.scheduler().num_free_slots(), 4);
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
}

TEST(SchedulerTest, ADeadlineEndsASequenceThatRunsAndOneThatWaits) {
  Simulation simulation({1, 64, 8, 64, true});
  for (int i = 0; i < 2; ++i) {
    GenerationRequest request = SimulatedRequest(5, 40);
    request.deadline = SteadyTime() + absl::Seconds(100 + i);
    simulation.Add(request);
  }
  const SequenceId patient = simulation.Add(SimulatedRequest(5, 8));
  ASSERT_TRUE(simulation.Step());
  simulation.scheduler().ExpireDeadlines(SteadyTime() + absl::Seconds(99));
  EXPECT_TRUE(simulation.ended().empty());
  simulation.scheduler().ExpireDeadlines(SteadyTime() + absl::Seconds(101));
  for (uint64_t id : {1, 2}) {
    EXPECT_THAT(simulation.ended().at(id).end.status,
                StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  }
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
  simulation.RunToEnd();
  EXPECT_THAT(simulation.ended().at(patient.value()).end.status, IsOk());
}

// Two sequences that need six pages of eight each.
class PreemptionTest : public ::testing::Test {
 protected:
  static SchedulerConfig Config(int64_t num_pages) { return {4, 64, num_pages, 8, true}; }
  static GenerationRequest Long(uint64_t seed) {
    GenerationRequest request = SimulatedRequest(9, 40);
    request.sampling.seed = seed;
    return request;
  }
};

TEST_F(PreemptionTest, TheLessSeniorGivesItsPagesUpAndGoesOnWithTheSameTokensStepsAndLogprobs) {
  for (bool prefix_cache : {true, false}) {
    SchedulerConfig config = Config(100);
    config.prefix_cache = prefix_cache;
    Simulation roomy(config);
    config.num_pages = 8;
    Simulation tight(config);
    for (Simulation* simulation : {&roomy, &tight}) {
      simulation->Add(Long(1));
      simulation->Add(Long(2));
      simulation->RunToEnd();
    }
    EXPECT_EQ(roomy.scheduler().counters().preemptions, 0);
    EXPECT_EQ(tight.ended().at(1).end.usage.preemptions, 0);
    EXPECT_GT(tight.ended().at(2).end.usage.preemptions, 0);
    for (uint64_t id : {1, 2}) {
      const Simulation::Outcome& got = tight.ended().at(id);
      const Simulation::Outcome& want = roomy.ended().at(id);
      EXPECT_EQ(got.tokens, want.tokens);
      EXPECT_EQ(got.logprobs, want.logprobs);
      EXPECT_EQ(got.end.usage.denoising_steps, want.end.usage.denoising_steps);
    }
    EXPECT_EQ(tight.scheduler().num_free_pages(), 8);
  }
}

TEST_F(PreemptionTest, ALowerPriorityIsPreemptedThoughItCameFirst) {
  Simulation simulation(Config(8));
  simulation.Add(Long(1));
  ASSERT_TRUE(simulation.Step());
  GenerationRequest urgent = Long(2);
  urgent.priority = 5;
  simulation.Add(urgent);
  simulation.RunToEnd();
  EXPECT_GT(simulation.ended().at(1).end.usage.preemptions, 0);
  EXPECT_EQ(simulation.ended().at(2).end.usage.preemptions, 0);
}

// Prompts of three full pages of eight and a remainder.
class SharedPrefixTest : public ::testing::Test {
 protected:
  static GenerationRequest Prompt(TokenId first_token, uint64_t seed = 0) {
    GenerationRequest request = SimulatedRequest(27, 8);
    request.prompt[0] = first_token;
    request.sampling.seed = seed;
    return request;
  }
  SchedulerConfig config_{4, 64, 32, 8, true};
};

TEST_F(SharedPrefixTest, APromptThatWasThereBeforeIsNotPrefilledAgain) {
  Simulation simulation(config_);
  simulation.Add(Prompt(5));
  simulation.RunToEnd();
  simulation.Add(Prompt(5));
  ASSERT_TRUE(simulation.Step());
  EXPECT_EQ(simulation.last_plan().segments(0).first_position(), 24u);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.ended().at(1).end.usage.cached_tokens, 0);
  EXPECT_EQ(simulation.ended().at(2).end.usage.cached_tokens, 24);
  EXPECT_EQ(simulation.ended().at(1).tokens, simulation.ended().at(2).tokens);
  EXPECT_EQ(simulation.scheduler().counters().prefix_cache_hit_tokens, 24);
  EXPECT_EQ(simulation.scheduler().counters().prefix_cache_queried_tokens, 48);
}

TEST(SchedulerTest, CountsPassesBlocksAndReveals) {
  Simulation simulation(SchedulerConfig{4, 64, 32, 8, true});
  for (int i = 0; i < 2; ++i) simulation.Add(SimulatedRequest(8, 8));
  int64_t rows = 0;
  uint64_t passes = 0;
  while (simulation.Step()) {
    ++passes;
    for (const auto& segment : simulation.last_plan().segments()) rows += segment.token_ids_size();
  }
  int64_t steps = 0;
  for (const auto& [id, outcome] : simulation.ended()) {
    steps += outcome.end.usage.denoising_steps;
    EXPECT_NE(outcome.end.usage.started, SteadyTime::InfiniteFuture());
  }
  const StepCounters& counters = simulation.scheduler().counters().steps;
  EXPECT_EQ(counters.forward_passes, passes);
  EXPECT_EQ(counters.rows, static_cast<uint64_t>(rows));
  EXPECT_EQ(counters.reveals_per_step.total(), static_cast<uint64_t>(steps));
  EXPECT_EQ(counters.steps_per_block.sum, static_cast<uint64_t>(steps));
  // Every position of every block is revealed once.
  EXPECT_EQ(counters.reveals_per_step.sum, counters.steps_per_block.total() * 4);
}

TEST_F(SharedPrefixTest, OtherTokensOrAnotherBlockLengthShareNothing) {
  Simulation simulation(config_);
  simulation.Add(Prompt(5));
  simulation.RunToEnd();
  simulation.Add(Prompt(6));
  GenerationRequest wide = Prompt(5);
  wide.remasking.block_length = wide.remasking.denoising_steps = 8;
  simulation.Add(wide);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.scheduler().counters().prefix_cache_hit_tokens, 0);
}

TEST_F(SharedPrefixTest, SwitchedOffItSharesNothing) {
  config_.prefix_cache = false;
  Simulation simulation(config_);
  for (int i = 0; i < 2; ++i) {
    simulation.Add(Prompt(5));
    simulation.RunToEnd();
  }
  EXPECT_EQ(simulation.ended().at(2).end.usage.cached_tokens, 0);
  EXPECT_EQ(simulation.scheduler().num_cached_pages(), 0);
}

TEST_F(SharedPrefixTest, SamplesOfOneRequestSharePagesOfTheirPrompt) {
  Simulation simulation(config_);
  const SequenceId leader = simulation.Add(Prompt(5, 1));
  for (uint64_t seed : {2, 3}) simulation.Add(Prompt(5, seed), leader);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.ended().at(1).end.usage.cached_tokens, 0);
  for (uint64_t id : {2, 3}) EXPECT_EQ(simulation.ended().at(id).end.usage.cached_tokens, 24);
  EXPECT_NE(simulation.ended().at(2).tokens, simulation.ended().at(3).tokens);
}

TEST_F(SharedPrefixTest, FollowersStartWhenTheirLeaderIsCancelled) {
  Simulation simulation(config_);
  const SequenceId leader = simulation.Add(Prompt(5, 1));
  simulation.Add(Prompt(5, 2), leader);
  simulation.scheduler().Cancel(leader, absl::CancelledError("gone"));
  simulation.RunToEnd();
  EXPECT_THAT(simulation.ended().at(2).end.status, IsOk());
}

TEST_F(SharedPrefixTest, ABlockInFlightIsNeverShared) {
  Simulation simulation(config_);
  // Cancelled in the middle of a block whose end is the end of a page.
  GenerationRequest request = SimulatedRequest(28, 8);
  const SequenceId id = simulation.Add(request);
  ASSERT_TRUE(simulation.Step());
  ASSERT_TRUE(simulation.Step());
  simulation.scheduler().Cancel(id, absl::CancelledError("gone"));
  EXPECT_EQ(simulation.scheduler().num_cached_pages(), 3);
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 32);
}

TEST_F(SharedPrefixTest, CachedPagesMakeRoomForThoseWhoNeedThem) {
  config_.num_pages = 6;
  Simulation simulation(config_);
  for (TokenId first : {5, 6, 7, 5}) {
    simulation.Add(Prompt(first));
    simulation.RunToEnd();
  }
  EXPECT_EQ(simulation.ended().size(), 4u);
  EXPECT_LE(simulation.scheduler().num_cached_pages(), 6);
  EXPECT_EQ(simulation.scheduler().counters().preemptions, 0);
}

}  // namespace
}  // namespace sdar
