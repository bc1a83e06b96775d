// SPDX-License-Identifier: Apache-2.0
// How a scheduler reads targets: the states, the steps, and the other sequences of a step.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "runtime/schedule/scheduler.h"
#include "tests/schedule/simulation.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr SchedulerConfig kRoomy = {4, 512, 64, 64, true};

std::vector<TokenId> TextOf(const GenerationRequest& request) {
  std::vector<TokenId> text = request.prompt;
  text.insert(text.end(), request.targets.begin(), request.targets.end());
  return text;
}

// What the simulated ranks say of every target when it is read by the definition: all blocks before
// its own hold the text, and its own block holds the text before it and masks from it on.
std::vector<double> ExpectedLogprobs(const GenerationRequest& request) {
  const std::vector<TokenId> text = TextOf(request);
  const auto block = static_cast<size_t>(request.remasking.block_length);
  std::vector<double> logprobs;
  uint64_t seen = Mix({block});
  for (size_t begin = 0; begin < text.size(); begin += block) {
    const auto state_of = [&](size_t known_end) {
      uint64_t state = seen;
      for (size_t p = begin; p < begin + block; ++p) {
        state = Mix({state, static_cast<uint64_t>(p < known_end ? text[p] : kSimulatedMask)});
      }
      return state;
    };
    for (size_t p = std::max(begin, request.prompt.size());
         p < std::min(begin + block, text.size()); ++p) {
      const uint64_t kv = Mix({state_of(p), p});
      const uint64_t own = Mix({kv, 0, p - std::max(begin, request.prompt.size())});
      const uint64_t draw = own % 4 == 0 ? own : Mix({seen, p, 0});
      const double confidence = static_cast<double>(1 + draw / 1024 % 1000) / 1001;
      const float z = text[p] == static_cast<TokenId>(draw % 900) ? 0 : SimulatedZ(kv, text[p]);
      logprobs.push_back(std::min(0.0, double{z} + std::log(confidence)));
    }
    if (begin + block > text.size()) break;
    const uint64_t state = state_of(begin + block);
    for (size_t p = begin; p < begin + block; ++p) seen = Mix({seen, Mix({state, p})});
  }
  return logprobs;
}

void ExpectScored(const Simulation::Outcome& outcome, const GenerationRequest& request) {
  ASSERT_THAT(outcome.end.status, IsOk());
  EXPECT_EQ(outcome.tokens, request.targets);
  const std::vector<double> expected = ExpectedLogprobs(request);
  ASSERT_EQ(outcome.logprobs.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(outcome.logprobs[i], expected[i], 1e-9) << "target " << i;
  }
}

TEST(ScoringTest, AStepHoldsAStateForEveryTargetAndThePrefillThatTheyNeed) {
  Simulation simulation(kRoomy);
  const GenerationRequest request = SimulatedScore(11, 6);  // prompt of 5
  simulation.Add(request);
  ASSERT_TRUE(simulation.Step());
  const auto& segments = simulation.last_plan().segments();
  ASSERT_EQ(segments.size(), 7);
  EXPECT_EQ(segments[0].phase(), Segment::PREFILL);
  EXPECT_EQ(segments[0].token_ids_size(), 8);  // not the last target's block
  EXPECT_TRUE(segments[0].has_sampling());
  const std::vector<TokenId> text = TextOf(request);
  for (int i = 0; i < 6; ++i) {
    const Segment& state = segments[1 + i];
    const int target = 5 + i;
    EXPECT_EQ(state.phase(), Segment::DRAFT);
    EXPECT_EQ(state.tentative_rows(), 0u);
    EXPECT_EQ(state.first_position(), static_cast<uint32_t>(target / 4 * 4));
    EXPECT_EQ(state.step_index(), static_cast<uint32_t>(target < 8 ? target - 5 : target - 8));
    ASSERT_EQ(state.token_ids_size(), 4);
    for (int row = 0; row < 4; ++row) {
      const int position = target / 4 * 4 + row;
      const TokenId id = position < target ? text[static_cast<size_t>(position)] : kSimulatedMask;
      EXPECT_EQ(state.token_ids(row), static_cast<uint32_t>(id));
      EXPECT_EQ(IsMaskedRow(state, row), position == target);
    }
    EXPECT_THAT(state.asked_ids(), ElementsAre(text[static_cast<size_t>(target)]));
  }
  ASSERT_TRUE(simulation.HasEnded(SequenceId(1)));
  const SequenceUsage& usage = simulation.ended().at(1).end.usage;
  EXPECT_EQ(usage.prompt_tokens, 5);
  EXPECT_EQ(usage.completion_tokens, 6);
  EXPECT_EQ(usage.denoising_steps, 6);
  EXPECT_EQ(usage.forward_passes, 1);
}

TEST(ScoringTest, NothingIsCommittedForTargetsOfTheFirstBlock) {
  Simulation simulation(kRoomy);
  const GenerationRequest request = SimulatedScore(3, 3);
  simulation.Add(request);
  ASSERT_TRUE(simulation.Step());
  ASSERT_EQ(simulation.last_plan().segments_size(), 3);
  const Segment& first = simulation.last_plan().segments(0);
  EXPECT_EQ(first.phase(), Segment::DRAFT);
  EXPECT_TRUE(first.has_sampling());
  EXPECT_EQ(first.new_pages_size(), 0);
  ExpectScored(simulation.ended().at(1), request);
}

TEST(ScoringTest, LogprobsAreThoseOfTheDefinitionWhateverTheStepsHold) {
  for (const int block_length : {1, 4, 8}) {
    for (const int64_t rows : {16, 24, 40, 512}) {
      Simulation simulation({3, rows, 64, 16, true});
      std::vector<GenerationRequest> requests;
      for (const auto& [length, targets] : {std::pair(1, 1), {4, 4}, {5, 1}, {33, 33}, {40, 7}}) {
        requests.push_back(
            SimulatedScore(length, targets, block_length, static_cast<uint64_t>(length)));
        simulation.Add(requests.back());
      }
      simulation.RunToEnd();
      for (size_t i = 0; i < requests.size(); ++i) {
        SCOPED_TRACE(absl::StrCat("block ", block_length, ", rows ", rows, ", request ", i));
        ExpectScored(simulation.ended().at(i + 1), requests[i]);
      }
      EXPECT_EQ(simulation.scheduler().num_free_pages(), 64);
    }
  }
}

TEST(ScoringTest, GreedySaysWhetherDecodingWouldHaveChosenTheTarget) {
  Simulation simulation(kRoomy);
  GenerationRequest decoded = SimulatedRequest(6, 14);
  decoded.remasking.strategy = RemaskingStrategy::kSequential;
  simulation.Add(decoded);
  simulation.RunToEnd();
  GenerationRequest scored = decoded;
  scored.targets = simulation.ended().at(1).tokens;
  simulation.Add(scored);
  scored.targets.back() = 901;  // which the simulated ranks never choose
  simulation.Add(scored);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.ended().at(2).logprobs, simulation.ended().at(1).logprobs);
  std::vector<bool> greedy(14, true);
  EXPECT_EQ(simulation.ended().at(2).greedy, greedy);
  greedy.back() = false;
  EXPECT_EQ(simulation.ended().at(3).greedy, greedy);
}

TEST(ScoringTest, ThePromptsPagesComeFromTheCacheAndThoseOfTheTargetsDoNot) {
  SchedulerConfig config = {4, 64, 32, 8, true};
  Simulation simulation(config);
  const GenerationRequest request = SimulatedScore(40, 13);  // prompt of three pages and three
  simulation.Add(request);
  simulation.RunToEnd();
  GenerationRequest whole = request;  // a text that is in the cache but for its last block
  whole.targets = TextOf(request);
  whole.prompt.clear();
  simulation.Add(request);
  simulation.Add(whole);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.ended().at(1).end.usage.cached_tokens, 0);
  EXPECT_EQ(simulation.ended().at(2).end.usage.cached_tokens, 24);
  EXPECT_EQ(simulation.ended().at(3).end.usage.cached_tokens, 0);
  ExpectScored(simulation.ended().at(1), request);
  ExpectScored(simulation.ended().at(2), request);
  ExpectScored(simulation.ended().at(3), whole);
}

TEST(ScoringTest, AGenerationSharesThePagesThatAScoreHasCommitted) {
  Simulation simulation({4, 64, 32, 8, true});
  const GenerationRequest scored = SimulatedScore(40, 36);
  simulation.Add(scored);
  simulation.RunToEnd();
  GenerationRequest generated = SimulatedRequest(1, 8);
  generated.prompt = TextOf(scored);
  simulation.Add(generated);
  simulation.RunToEnd();
  EXPECT_EQ(simulation.ended().at(2).end.usage.cached_tokens, 32);
}

TEST(ScoringTest, APreemptedScoreGoesOnAfterTheTargetsThatItHasRead) {
  for (const bool prefix_cache : {true, false}) {
    SchedulerConfig config = {4, 16, 8, 8, true};
    config.prefix_cache = prefix_cache;
    Simulation simulation(config);
    const GenerationRequest request = SimulatedScore(60, 50);
    const SequenceId scored = simulation.Add(request);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(simulation.Step());
    GenerationRequest urgent = SimulatedRequest(17, 36);
    urgent.priority = 1;
    simulation.Add(urgent);
    simulation.RunToEnd();
    const SequenceUsage& usage = simulation.ended().at(scored.value()).end.usage;
    EXPECT_GT(usage.preemptions, 0);
    EXPECT_EQ(usage.denoising_steps, 50);  // none is read twice
    ExpectScored(simulation.ended().at(scored.value()), request);
    EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
  }
}

TEST(ScoringTest, ScoresTakeNoMoreThanThePromptsShareWhereOthersDecode) {
  SchedulerConfig config = {8, 512, 256, 64, true};
  config.max_prefill_rows = 32;
  Simulation simulation(config);
  const SequenceId decoding = simulation.Add(SimulatedRequest(4, 400));
  ASSERT_TRUE(simulation.Step());
  const GenerationRequest request = SimulatedScore(50, 50);
  const SequenceId scored = simulation.Add(request);
  int steps = 0;
  for (; !simulation.HasEnded(scored); ++steps) {
    ASSERT_TRUE(simulation.Step());
    int of_scores = 0;
    bool decodes = false;
    for (const Segment& segment : simulation.last_plan().segments()) {
      if (segment.slot() == 1) of_scores += segment.token_ids_size();
      decodes = decodes || segment.slot() == 0;
    }
    EXPECT_LE(of_scores, 32);
    EXPECT_TRUE(decodes);
  }
  EXPECT_GE(steps, (48 + 4 * 50) / 32);
  EXPECT_FALSE(simulation.HasEnded(decoding));
  ExpectScored(simulation.ended().at(scored.value()), request);
}

TEST(ScoringTest, ABlockThatIsLargerThanThePromptsShareIsReadAllTheSame) {
  SchedulerConfig config = {8, 128, 256, 64, true};
  config.max_prefill_rows = 16;
  Simulation simulation(config);
  simulation.Add(SimulatedRequest(4, 2000));
  ASSERT_TRUE(simulation.Step());
  const GenerationRequest request = SimulatedScore(70, 10, 64);
  const SequenceId scored = simulation.Add(request);
  for (int i = 0; i < 100 && !simulation.HasEnded(scored); ++i) ASSERT_TRUE(simulation.Step());
  ExpectScored(simulation.ended().at(scored.value()), request);
}

TEST(ScoringTest, DecodingIsTheSameBesideScores) {
  const auto decode = [](int num_scores) {
    Simulation simulation({8, 64, 64, 16, true});
    GenerationRequest request = SimulatedRequest(9, 60);
    request.drafts = 3;
    const SequenceId id = simulation.Add(request);
    for (int i = 0; i < num_scores; ++i) {
      simulation.Add(SimulatedScore(30 + i, 20, 8, static_cast<uint64_t>(i)));
    }
    simulation.RunToEnd();
    return simulation.ended().at(id.value());
  };
  const Simulation::Outcome alone = decode(0);
  const Simulation::Outcome beside = decode(5);
  EXPECT_EQ(alone.tokens, beside.tokens);
  EXPECT_EQ(alone.logprobs, beside.logprobs);
}

TEST(ScoringTest, AHigherPriorityIsScoredFirst) {
  Simulation simulation({1, 16, 32, 8, true});
  simulation.Add(SimulatedScore(20, 20));
  const SequenceId low = simulation.Add(SimulatedScore(20, 20));
  GenerationRequest urgent = SimulatedScore(20, 20);
  urgent.priority = 1;
  const SequenceId high = simulation.Add(urgent);
  while (!simulation.HasEnded(high)) ASSERT_TRUE(simulation.Step());
  EXPECT_FALSE(simulation.HasEnded(low));
}

TEST(ScoringTest, ACancelBetweenPlanAndApplyEndsAScoreAndFreesItsPages) {
  Simulation simulation({4, 16, 8, 8, true});
  const SequenceId first = simulation.Add(SimulatedScore(40, 40));
  simulation.Add(SimulatedScore(9, 3));
  ASSERT_TRUE(simulation.Step());
  simulation.Between([&] { simulation.scheduler().Cancel(first, absl::CancelledError("gone")); });
  simulation.RunToEnd();
  EXPECT_THAT(simulation.ended().at(1).end.status, StatusIs(absl::StatusCode::kCancelled, "gone"));
  EXPECT_THAT(simulation.ended().at(2).end.status, IsOk());
  EXPECT_EQ(simulation.scheduler().num_free_slots(), 4);
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
}

TEST(ScoringTest, ADeadlineEndsAScoreThatRuns) {
  Simulation simulation({4, 16, 8, 8, true});
  GenerationRequest request = SimulatedScore(40, 40);
  request.deadline = SteadyTime() + absl::Seconds(100);
  simulation.Add(request);
  ASSERT_TRUE(simulation.Step());
  simulation.scheduler().ExpireDeadlines(SteadyTime() + absl::Seconds(101));
  EXPECT_THAT(simulation.ended().at(1).end.status,
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
}

TEST(ScoringTest, LogitsThatAreNotFiniteEndTheScoreByTheTargetsPosition) {
  Scheduler scheduler(kRoomy);
  std::vector<SequenceUpdate> updates;
  scheduler.Add(std::make_unique<Sequence>(
      SequenceId(1), SimulatedScore(11, 6),
      [&](SequenceUpdate update) { updates.push_back(std::move(update)); }, TinyTokenizer(),
      kSimulatedMask));
  sdar::v1::StepPlan plan;
  ASSERT_TRUE(scheduler.FillPlan(plan));
  std::vector<LogitSummary> summaries(6, CertainOf(5, 0.5));
  summaries[4].sum_exp = std::nan("");
  scheduler.Apply(summaries, {});
  ASSERT_EQ(updates.size(), 1u);
  ASSERT_TRUE(updates[0].end.has_value());
  EXPECT_THAT(updates[0].end->status, StatusIs(absl::StatusCode::kInternal,
                                               HasSubstr("position 9 are not finite at step 1")));
}

TEST(ScoringTest, ReportsTheMostProbableIdsWhereTheyAreAskedFor) {
  Scheduler scheduler(kRoomy);
  std::vector<SequenceUpdate> updates;
  GenerationRequest request = SimulatedScore(1, 1);
  request.top_logprobs = 2;
  scheduler.Add(std::make_unique<Sequence>(
      SequenceId(1), request, [&](SequenceUpdate update) { updates.push_back(std::move(update)); },
      TinyTokenizer(), kSimulatedMask));
  sdar::v1::StepPlan plan;
  ASSERT_TRUE(scheduler.FillPlan(plan));
  LogitSummary summary = CertainOf(5, 0.5);
  summary.num_candidates = summary.num_allowed = 3;
  summary.candidates[1] = {6, -1};
  summary.candidates[2] = {7, -2};
  summary.asked_z = -2;
  scheduler.Apply({summary}, {});
  ASSERT_EQ(updates.size(), 1u);
  const RevealedToken& token = updates[0].tokens.at(0);
  ASSERT_EQ(token.top.size(), 2u);
  EXPECT_EQ(token.top[1].id, 6);
  EXPECT_NEAR(token.top[1].logprob, -1 + std::log(0.5), 1e-9);
  EXPECT_NEAR(token.logprob, -2 + std::log(0.5), 1e-9);
  EXPECT_FALSE(token.greedy);
}

}  // namespace
}  // namespace sdar
