// SPDX-License-Identifier: Apache-2.0
// What a worker refuses of a plan, and what penalties it derives from one.
#include "runtime/step/worker.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/local_ranks.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using sdar::v1::StepPlan;
using ::testing::HasSubstr;

// Runs `body` with a worker over the dense golden model: 2 slots, 4 pages of 64.
void WithWorker(const std::function<void(Worker&)>& body) {
  LocalRanksOptions options;
  options.model.kv_cache = {4, 64};
  const std::string folder = std::string(SDAR_SOURCE_DIR) + "/tests/golden/dense";
  EXPECT_THAT(RunOnLocalRanks(folder, options,
                              [&](int, SdarModel& model, Communicator&) {
                                Worker worker(model, 2);
                                body(worker);
                                return absl::OkStatus();
                              }),
              IsOk());
}

// A plan with one segment of a block of masks in slot 0, valid as the first step.
StepPlan ValidPlan() {
  StepPlan plan;
  plan.set_version(kStepPlanVersion);
  plan.set_kind(StepPlan::FORWARD);
  Segment& segment = *plan.add_segments();
  segment.set_phase(Segment::DENOISE);
  segment.set_block_length(4);
  for (int i = 0; i < 4; ++i) segment.add_token_ids(300);
  segment.set_masked("\x0F");
  segment.add_new_pages(1);
  segment.mutable_sampling();
  return plan;
}

TEST(WorkerTest, RunsAValidPlan) {
  WithWorker([](Worker& worker) {
    auto result = worker.Execute(ValidPlan());
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->summaries.size(), 4u);
  });
}

TEST(WorkerTest, RefusesPlansThatCannotBe) {
  const std::pair<std::function<void(StepPlan&)>, const char*> cases[] = {
      {[](StepPlan& p) { p.set_version(9); }, "version"},
      {[](StepPlan& p) { p.set_step_id(5); }, "step"},
      {[](StepPlan& p) { p.set_kind(StepPlan::KIND_UNSPECIFIED); }, "kind"},
      {[](StepPlan& p) { p.add_released_slots(1); }, "slot 1"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_slot(2); }, "slots below 2"},
      {[](StepPlan& p) { p.mutable_segments(0)->clear_sampling(); }, "sampling"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_first_position(3); }, "position 3"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_first_position(1024); }, "pages"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_block_length(0); }, "block length 0"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_block_length(1 << 30); }, "block length"},
      {[](StepPlan& p) { p.mutable_segments(0)->clear_token_ids(); }, "0 rows"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_token_ids(0, 320); }, "token id 320"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_new_pages(0, 4); }, "page 4"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_phase(Segment::PHASE_UNSPECIFIED); }, "phase"},
      {[](StepPlan& p) { p.clear_segments(); }, "rows"},
      {[](StepPlan& p) { p.mutable_segments(0)->set_mask(1); },
       "mask 0, which no plan has brought"},
      {[](StepPlan& p) { p.add_masks()->set_bits(std::string(41, 0)); }, "41 bytes for 320 ids"},
      {[](StepPlan& p) { p.add_masks()->set_index(1u << 30); }, "of 65536"},
      {[](StepPlan& p) {
         p.set_kind(StepPlan::RESOLVE);
         p.add_resolve_rows(0);
       },
       "resolves row 0"},
  };
  for (const auto& [spoil, named] : cases) {
    WithWorker([&spoil = spoil, named = named](Worker& worker) {
      StepPlan plan = ValidPlan();
      spoil(plan);
      EXPECT_THAT(worker.Execute(plan), StatusIs(absl::StatusCode::kInternal, HasSubstr(named)));
    });
  }
}

// Eight committed positions, then a draft of the block at `first_position`.
StepPlan DraftAfterPrefill(uint32_t first_position) {
  StepPlan plan = ValidPlan();
  Segment& prefill = *plan.mutable_segments(0);
  prefill.set_phase(Segment::PREFILL);
  prefill.clear_masked();
  for (int i = 0; i < 4; ++i) prefill.add_token_ids(7);
  Segment& draft = *plan.add_segments();
  draft.set_phase(Segment::DRAFT);
  draft.set_block_length(4);
  draft.set_first_position(first_position);
  for (int i = 0; i < 4; ++i) draft.add_token_ids(300);
  draft.set_masked("\x01");
  return plan;
}

TEST(WorkerTest, ADraftThatWritesNothingMayStartBeforeTheEndOfWhatIsCommitted) {
  for (const uint32_t first : {0u, 4u, 8u}) {
    WithWorker([first](Worker& worker) {
      auto result = worker.Execute(DraftAfterPrefill(first));
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->summaries.size(), 1u);
    });
  }
}

TEST(WorkerTest, ADraftThatStartsEarlierIsRefusedIfItWritesOrIsPenalised) {
  const std::pair<std::function<void(StepPlan&)>, uint32_t> cases[] = {
      {[](StepPlan&) {}, 12},
      {[](StepPlan& p) { p.mutable_segments(1)->set_tentative_rows(4); }, 4},
      {[](StepPlan& p) { p.mutable_segments(0)->mutable_sampling()->set_presence_penalty(1); }, 4},
      {[](StepPlan& p) { p.mutable_segments(0)->mutable_sampling()->set_repetition_penalty(2); },
       4}};
  for (const auto& [spoil, first] : cases) {
    WithWorker([&spoil = spoil, first = first](Worker& worker) {
      StepPlan plan = DraftAfterPrefill(first);
      spoil(plan);
      EXPECT_THAT(worker.Execute(plan),
                  StatusIs(absl::StatusCode::kInternal, HasSubstr("goes on at position 8")));
    });
  }
}

TEST(WorkerTest, ForbiddenIdsAreNeverCandidates) {
  WithWorker([](Worker& worker) {
    StepPlan plan = ValidPlan();
    plan.add_forbidden()->set_end(310);
    auto result = worker.Execute(plan);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->summaries[0].num_allowed, 10);
    for (int i = 0; i < 10; ++i) EXPECT_GE(result->summaries[0].candidates[i].id, 310);
  });
}

TEST(WorkerTest, AMaskHoldsForTheFirstMaskedRowUntilAnotherReplacesIt) {
  WithWorker([](Worker& worker) {
    StepPlan plan = ValidPlan();
    sdar::v1::TokenMask& mask = *plan.add_masks();
    mask.set_index(3);
    mask.set_bits(std::string(1, 0) + "\x06");  // ids 9 and 10
    Segment& segment = *plan.mutable_segments(0);
    segment.set_token_ids(0, 5);
    segment.set_masked("\x0E");
    segment.set_mask(4);
    auto result = worker.Execute(plan);
    ASSERT_THAT(result, IsOk());
    ASSERT_EQ(result->summaries.size(), 3u);
    EXPECT_EQ(result->summaries[0].num_allowed, 2);
    EXPECT_EQ(result->summaries[1].num_allowed, 320);
    plan.clear_masks();
    segment.clear_sampling();
    segment.clear_new_pages();
    plan.set_step_id(1);
    result = worker.Execute(plan);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->summaries[0].num_allowed, 2);
  });
}

TEST(WorkerTest, PenaltiesMeetCommittedOutputAndTheSegmentsOwnReveals) {
  WithWorker([](Worker& worker) {
    // Prompt: 4 tokens of id 7. Output so far: a finished block 20 20 21 22, and 23 revealed in the
    // active block.
    StepPlan plan = ValidPlan();
    Segment& segment = *plan.mutable_segments(0);
    segment.set_phase(Segment::FUSED);
    segment.clear_token_ids();
    for (uint32_t id : {7u, 7u, 7u, 7u, 20u, 20u, 21u, 22u, 23u, 300u, 300u, 300u}) {
      segment.add_token_ids(id);
    }
    segment.set_masked(std::string("\x00\x0E", 2));
    const StepPlan plain = plan;
    segment.mutable_sampling()->set_prompt_length(4);
    segment.mutable_sampling()->set_frequency_penalty(1.5);
    segment.mutable_sampling()->set_presence_penalty(0.25);
    ASSERT_THAT(worker.Execute(plan), IsOk());
    auto penalised = worker.model().GatherLogits({0});
    ASSERT_THAT(penalised, IsOk());
    StepPlan again = plain;
    again.set_step_id(1);
    again.add_released_slots(0);
    ASSERT_THAT(worker.Execute(again), IsOk());
    auto free = worker.model().GatherLogits({0});
    ASSERT_THAT(free, IsOk());
    const std::pair<size_t, float> expected[] = {{7, 0},      {20, 3.25f}, {21, 1.75f}, {22, 1.75f},
                                                 {23, 1.75f}, {24, 0},     {300, 0}};
    for (const auto& [id, penalty] : expected) {
      EXPECT_NEAR((*free)[id] - (*penalised)[id], penalty, 1e-5) << id;
    }
  });
}

// A finished block 20 20 21 22 after a prompt of 4 tokens, followed by a block of masks.
Segment FinishedAndMasks() {
  Segment segment;
  segment.set_block_length(4);
  segment.set_first_position(4);
  for (uint32_t id : {20u, 20u, 21u, 22u, 300u, 300u, 300u, 300u}) segment.add_token_ids(id);
  segment.set_masked("\xF0");
  return segment;
}

// The prompt, its first block of masks, and drafts after them, with a frequency penalty.
StepPlan PlanWithDrafts(const std::vector<Segment>& drafts) {
  StepPlan plan = ValidPlan();
  Segment& segment = *plan.mutable_segments(0);
  segment.set_phase(Segment::FUSED);
  segment.mutable_sampling()->set_prompt_length(4);
  segment.mutable_sampling()->set_frequency_penalty(1.5);
  for (int i = 0; i < 4; ++i) segment.add_token_ids(300);
  for (int i = 0; i < 4; ++i) segment.set_token_ids(i, 7);
  segment.set_masked("\xF0");
  for (const Segment& draft : drafts) *plan.add_segments() = draft;
  return plan;
}

Segment Masks(uint32_t first_position) {
  Segment segment = FinishedAndMasks();
  segment.mutable_token_ids()->Truncate(0);
  for (int i = 0; i < 4; ++i) segment.add_token_ids(300);
  segment.set_first_position(first_position);
  segment.set_masked("\x0F");
  return segment;
}

Segment AsDraft(Segment segment, uint32_t tentative_rows) {
  segment.set_phase(Segment::DRAFT);
  segment.set_tentative_rows(tentative_rows);
  return segment;
}

// z of the first masked row of the last segment.
std::vector<float> LastBlocksLogits(Worker& worker, const StepPlan& plan) {
  auto result = worker.Execute(plan);
  EXPECT_THAT(result, IsOk());
  auto logits = worker.model().GatherLogits({static_cast<int32_t>(result->summaries.size()) - 4});
  EXPECT_THAT(logits, IsOk());
  return *logits;
}

TEST(WorkerTest, ADraftsLogitsAreThoseOfTheStateItGuesses) {
  WithWorker([](Worker& worker) {
    const std::vector<float> drafted =
        LastBlocksLogits(worker, PlanWithDrafts({AsDraft(FinishedAndMasks(), 4)}));
    StepPlan next;
    next.set_version(kStepPlanVersion);
    next.set_kind(StepPlan::FORWARD);
    next.set_step_id(1);
    *next.add_segments() = FinishedAndMasks();
    next.mutable_segments(0)->set_phase(Segment::FUSED);
    EXPECT_EQ(LastBlocksLogits(worker, next), drafted);
  });
}

TEST(WorkerTest, WhatADraftWroteIsSeenByThoseBehindItAndCommittedOnceTheSlotGoesOnThere) {
  WithWorker([](Worker& worker) {
    const std::vector<float> drafted = LastBlocksLogits(
        worker, PlanWithDrafts({AsDraft(FinishedAndMasks(), 4), AsDraft(Masks(8), 0)}));
    StepPlan next;
    next.set_version(kStepPlanVersion);
    next.set_kind(StepPlan::FORWARD);
    next.set_step_id(1);
    *next.add_segments() = Masks(8);
    next.mutable_segments(0)->set_phase(Segment::DENOISE);
    EXPECT_EQ(LastBlocksLogits(worker, next), drafted) << "penalties count the block too";
    // It is committed now, and only once.
    next.set_step_id(2);
    EXPECT_EQ(LastBlocksLogits(worker, next), drafted);
  });
}

TEST(WorkerTest, WhatADraftWroteIsForgottenWhenTheSlotGoesOnElsewhere) {
  WithWorker([](Worker& worker) {
    ASSERT_THAT(worker.Execute(PlanWithDrafts({AsDraft(FinishedAndMasks(), 4)})), IsOk());
    StepPlan next;
    next.set_version(kStepPlanVersion);
    next.set_kind(StepPlan::FORWARD);
    next.set_step_id(1);
    *next.add_segments() = Masks(4);
    next.mutable_segments(0)->set_phase(Segment::DENOISE);
    ASSERT_THAT(worker.Execute(next), IsOk());
    next.set_step_id(2);
    next.mutable_segments(0)->set_first_position(8);
    EXPECT_THAT(worker.Execute(next),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("goes on at position 4")));
  });
}

TEST(WorkerTest, OnlyDraftsWriteTentatively) {
  WithWorker([](Worker& worker) {
    StepPlan plan = PlanWithDrafts({});
    plan.mutable_segments(0)->set_tentative_rows(4);
    EXPECT_THAT(worker.Execute(plan),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("tentative rows")));
  });
}

}  // namespace
}  // namespace sdar
