// SPDX-License-Identifier: Apache-2.0
// Which drafts a step gets: by what they cost, and by how often such drafts come true.
#include "runtime/schedule/draft_planner.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/schedule/simulation.h"

namespace sdar {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(10);

TEST(StepCostTest, JoinsWhatWasMeasuredByLines) {
  StepCost cost;
  cost.Add(4, kStep);
  cost.Add(12, 2 * kStep);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(4), 10);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(8), 15);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(12), 20);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(1), 2.5) << "fewer rows than were measured are tried";
}

TEST(StepCostTest, BeyondWhatWasMeasuredItIsHopefulUntilItKnows) {
  StepCost cost;
  EXPECT_DOUBLE_EQ(cost.Milliseconds(4), cost.Milliseconds(400));
  cost.Add(4, kStep);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(400), 10);
  cost.Add(400, 40 * kStep);
  EXPECT_GT(cost.Milliseconds(200), 150);
}

TEST(StepCostTest, NeverFallsWithMoreRows) {
  StepCost cost;
  cost.Add(8, 3 * kStep);
  cost.Add(16, kStep);
  cost.Add(32, 4 * kStep);
  for (int64_t rows = 2; rows < 50; ++rows) {
    EXPECT_GE(cost.Milliseconds(rows), cost.Milliseconds(rows - 1)) << rows;
  }
}

TEST(StepCostTest, OneSlowStepCountsForLittle) {
  StepCost cost;
  for (int i = 0; i < 10; ++i) cost.Add(8, kStep);
  cost.Add(8, 100 * kStep);
  EXPECT_LT(cost.Milliseconds(8), 12);
}

TEST(StepCostTest, WhatIsLongAgoIsTriedAgain) {
  StepCost cost;
  cost.Add(4, kStep);
  cost.Add(64, 50 * kStep);
  for (int i = 0; i < 3000; ++i) cost.Add(4, kStep);
  EXPECT_DOUBLE_EQ(cost.Milliseconds(64), 10);
}

// Of `steps` steps of one sequence in which drafts make one step more, those with drafts; a step
// takes 10 ms, with drafts `with`.
int CountDrafting(DraftTrials& trials, int steps, absl::Duration with) {
  int drafting = 0;
  for (int i = 0; i < steps; ++i) {
    const bool drafts = trials.Wants(1);
    drafting += drafts;
    const bool disturbed = i % 50 == 49;
    trials.Note(1, drafts ? 2 : 1, (drafts ? with : kStep) * (disturbed ? 30 : 1));
  }
  return drafting;
}

TEST(DraftTrialsTest, DraftsThatMakeItSlowerAreRare) {
  DraftTrials trials;
  EXPECT_LT(CountDrafting(trials, 10000, absl::Milliseconds(25)), 300);
}

TEST(DraftTrialsTest, DraftsThatMakeItFasterAreTheRule) {
  DraftTrials trials;
  EXPECT_GT(CountDrafting(trials, 10000, absl::Milliseconds(15)), 9600);
}

TEST(DraftTrialsTest, WhatDidNotPayIsTriedAgain) {
  DraftTrials trials;
  CountDrafting(trials, 20000, absl::Milliseconds(25));
  EXPECT_GT(CountDrafting(trials, 20000, absl::Milliseconds(15)), 11000);
}

TEST(DraftTrialsTest, WhatDoesNotPayForManySequencesMayPayForFew) {
  DraftTrials trials;
  CountDrafting(trials, 200, absl::Milliseconds(25));
  ASSERT_FALSE(trials.Wants(1));
  EXPECT_TRUE(trials.Wants(8));
}

TEST(DraftRatesTest, LearnsFromWhatCameTrue) {
  DraftRates rates;
  RemaskingOptions remasking;
  SamplingOptions sampling;
  Draft draft{BlockState(4, {}, 0), {}};
  draft.certainty = 0.5;
  for (int i = 0; i < 200; ++i) rates.Count(draft, remasking, sampling, i % 4 == 0);
  EXPECT_NEAR(rates.Rate(draft, remasking, sampling), 0.25, 0.02);
  Draft other = draft;
  other.kind = DraftKind::kAll;
  EXPECT_LT(rates.Rate(other, remasking, sampling), 0.2) << "another kind is another count";
  for (int i = 0; i < 2000; ++i) rates.Count(draft, remasking, sampling, true);
  EXPECT_GT(rates.Rate(draft, remasking, sampling), 0.9) << "what is long ago weighs less";
}

// Drafts of a step are counted in the segments after a sequence's own.
int NumDrafts(const sdar::v1::StepPlan& plan) {
  int count = 0;
  for (const auto& segment : plan.segments()) count += segment.phase() == sdar::v1::Segment::DRAFT;
  return count;
}

GenerationRequest Drafting(int drafts, int max_tokens = 400) {
  GenerationRequest request = SimulatedRequest(8, max_tokens);
  request.remasking.strategy = RemaskingStrategy::kLowConfidenceStatic;
  request.drafts = drafts;
  return request;
}

TEST(DraftPlannerTest, ANumberOfDraftsIsNotExceededAndMostlyUsed) {
  Simulation simulation({4, 512, 64, 64, true});
  simulation.Add(Drafting(5));
  int steps = 0, full = 0;
  while (simulation.Step()) {
    EXPECT_LE(NumDrafts(simulation.last_plan()), 5);
    full += NumDrafts(simulation.last_plan()) == 5;
    ++steps;
  }
  EXPECT_GT(full, steps / 2);
}

TEST(DraftPlannerTest, DraftsTakeOnlyTheRowsThatAreLeft) {
  Simulation simulation({8, 40, 64, 64, true});
  for (int i = 0; i < 4; ++i) simulation.Add(Drafting(8));
  int drafts = 0;
  while (simulation.Step()) {
    EXPECT_LE(CountRows(simulation.last_plan()), 40);
    drafts += NumDrafts(simulation.last_plan());
  }
  EXPECT_GT(drafts, 0);
}

TEST(DraftPlannerTest, AutomaticDraftsEndWhereRowsAreDear) {
  Simulation simulation({4, 512, 64, 64, true});
  simulation.Add(Drafting(kAutomaticDrafts, 2000));
  int drafts = 0, steps = 0;
  while (simulation.Step()) {
    // A step costs by its rows and nothing else: a draft that may fail cannot pay.
    simulation.scheduler().NoteStepTime(CountRows(simulation.last_plan()) * absl::Milliseconds(1));
    ++steps;
    if (steps > 50) drafts += NumDrafts(simulation.last_plan());
  }
  EXPECT_LE(drafts, steps / 20);
}

TEST(DraftPlannerTest, AutomaticDraftsComeWhereRowsAreFree) {
  Simulation simulation({4, 512, 64, 64, true});
  simulation.Add(Drafting(kAutomaticDrafts));
  while (simulation.Step()) simulation.scheduler().NoteStepTime(kStep);
  const SequenceUsage& usage = simulation.ended().at(1).end.usage;
  EXPECT_LT(usage.forward_passes, usage.denoising_steps * 2 / 3);
}

TEST(DraftPlannerTest, PlainCommitsHaveNoAutomaticDrafts) {
  Simulation simulation({4, 512, 64, 64, false});
  simulation.Add(Drafting(kAutomaticDrafts));
  simulation.RunToEnd();
  EXPECT_EQ(simulation.scheduler().counters().steps.drafts, 0u);
}

TEST(DraftPlannerTest, EveryAcceptedDraftIsAPassLess) {
  for (int drafts : {0, 2, 8}) {
    Simulation simulation({4, 512, 64, 64, true});
    simulation.Add(Drafting(drafts));
    simulation.RunToEnd();
    const SequenceUsage& usage = simulation.ended().at(1).end.usage;
    const StepCounters& counters = simulation.scheduler().counters().steps;
    EXPECT_EQ(static_cast<int64_t>(counters.accepted_drafts),
              usage.denoising_steps - usage.forward_passes);
    EXPECT_LE(counters.accepted_drafts, counters.drafts);
    EXPECT_EQ(counters.accepted_drafts > 0, drafts > 0);
  }
}

TEST(DraftPlannerTest, NoDraftNeedsAPageThatTheSequenceWouldNot) {
  // Prompt and output fill the pages but for the last block, which is never committed.
  Simulation simulation({1, 512, 2, 8, true});
  GenerationRequest request = Drafting(8, 12);
  ASSERT_EQ(PagesNeeded(8 + 12, 4, 8), 2);
  simulation.Add(request);
  simulation.RunToEnd();
  EXPECT_TRUE(simulation.ended().at(1).end.status.ok());
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 2);
}

}  // namespace
}  // namespace sdar
