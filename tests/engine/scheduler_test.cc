// SPDX-License-Identifier: Apache-2.0
// The scheduler over a made-up model: every property that a client or a rank relies on, under
// random load.
#include "runtime/engine/scheduler.h"

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using sdar::v1::StepPlan;

constexpr TokenId kMask = 965;
constexpr int64_t kVocab = 1024;

const Tokenizer& Tiny() {
  static const Tokenizer tokenizer =
      *Tokenizer::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return tokenizer;
}

GenerationRequest Request(int prompt_length, int max_tokens, int block_length = 4) {
  GenerationRequest request;
  request.prompt.assign(static_cast<size_t>(prompt_length), 300);
  request.stopping.max_tokens = max_tokens;
  request.remasking.block_length = block_length;
  request.remasking.denoising_steps = block_length;
  return request;
}

// A summary in which one token is as good as certain.
LogitSummary Certain(TokenId id, double confidence) {
  LogitSummary summary;
  summary.max = 0;
  summary.sum_exp = 1 / confidence;
  summary.sum_weighted = -0.1;
  summary.allowed_sum_exp = 1 / confidence;
  summary.num_allowed = static_cast<int32_t>(kVocab);
  summary.num_candidates = 1;
  summary.candidates[0] = {id, 0};
  return summary;
}

int CountMasked(const StepPlan& plan) {
  int count = 0;
  for (const Segment& segment : plan.segments()) {
    for (char byte : segment.masked()) {
      count += __builtin_popcount(static_cast<unsigned char>(byte));
    }
  }
  return count;
}

int CountRows(const StepPlan& plan) {
  int rows = 0;
  for (const Segment& segment : plan.segments()) rows += segment.token_ids_size();
  return rows;
}

// What the other ranks would know: who holds a slot and how far its K/V reach. Fails on what a
// worker would refuse.
class RankModel {
 public:
  void Check(const StepPlan& plan, const SchedulerConfig& config) {
    for (uint32_t slot : plan.released_slots()) ASSERT_EQ(slots_.erase(slot), 1u);
    ASSERT_LE(CountRows(plan), config.max_batch_rows);
    for (const Segment& segment : plan.segments()) {
      if (slots_.count(segment.slot()) == 0) {
        ASSERT_TRUE(segment.has_sampling());
        for (uint32_t page : segment.new_pages()) {
          for (const auto& [slot, state] : slots_) ASSERT_EQ(state.pages.count(page), 0u);
        }
      }
      State& state = slots_[segment.slot()];
      state.pages.insert(segment.new_pages().begin(), segment.new_pages().end());
      ASSERT_EQ(segment.first_position(), state.committed);
      ASSERT_EQ(segment.first_position() % segment.block_length(), 0u);
      const auto rows = static_cast<uint32_t>(segment.token_ids_size());
      ASSERT_EQ(rows % segment.block_length(), 0u);
      if (segment.phase() == Segment::PREFILL || segment.phase() == Segment::COMMIT) {
        state.committed += rows;
      } else if (segment.phase() == Segment::FUSED) {
        state.committed += rows - segment.block_length();
      }
      ASSERT_LE(state.committed, state.pages.size() * static_cast<size_t>(config.page_size));
    }
  }

 private:
  struct State {
    std::set<uint32_t> pages;
    uint32_t committed = 0;
  };
  std::map<uint32_t, State> slots_;
};

// A scheduler, its sequences' outcomes, and a model that answers at random.
class Simulation {
 public:
  explicit Simulation(const SchedulerConfig& config, unsigned seed = 1)
      : scheduler_(config), random_(seed) {}

  SequenceId Add(GenerationRequest request) {
    const SequenceId id(++next_);
    scheduler_.Add(std::make_unique<Sequence>(
        id, std::move(request),
        [this, id](SequenceUpdate update) {
          if (!update.end) return;
          ASSERT_EQ(ended_.count(id.value()), 0u);
          ended_[id.value()] = *update.end;
        },
        Tiny(), kMask));
    return id;
  }

  // One step; false when there is nothing to run.
  bool Step() {
    StepPlan plan;
    if (!scheduler_.FillPlan(plan)) return false;
    ranks_.Check(plan, scheduler_.config());
    last_plan_ = plan;
    std::vector<LogitSummary> summaries;
    for (int i = 0; i < CountMasked(plan); ++i) {
      summaries.push_back(Certain(static_cast<TokenId>(random_() % 900),
                                  static_cast<double>(1 + random_() % 1000) / 1001));
    }
    EXPECT_TRUE(scheduler_.RowsToResolve(summaries).empty());
    if (between_) between_();
    scheduler_.Apply(summaries, {});
    return true;
  }

  Scheduler& scheduler() { return scheduler_; }
  const StepPlan& last_plan() const { return last_plan_; }
  const std::map<uint64_t, SequenceEnd>& ended() const { return ended_; }
  std::mt19937& random() { return random_; }
  void Between(std::function<void()> action) { between_ = std::move(action); }

 private:
  Scheduler scheduler_;
  std::mt19937 random_;
  RankModel ranks_;
  StepPlan last_plan_;
  std::map<uint64_t, SequenceEnd> ended_;
  std::function<void()> between_;
  uint64_t next_ = 0;
};

TEST(SchedulerTest, FusesThePromptsLastChunkWithTheFirstBlock) {
  Simulation simulation({4, 64, 8, 64, true});
  simulation.Add(Request(9, 4));
  ASSERT_TRUE(simulation.Step());
  ASSERT_EQ(simulation.last_plan().segments_size(), 1);
  const Segment& segment = simulation.last_plan().segments(0);
  EXPECT_EQ(segment.phase(), Segment::FUSED);
  EXPECT_EQ(segment.token_ids_size(), 12);
  EXPECT_EQ(CountMasked(simulation.last_plan()), 3);  // one position is the prompt's remainder
}

TEST(SchedulerTest, PlainCommitsInStepsOfTheirOwn) {
  Simulation simulation({4, 64, 8, 64, false});
  simulation.Add(Request(8, 8));
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
    simulation.Add(Request(4, 4));
    while (simulation.Step()) {
    }
    EXPECT_EQ(simulation.last_plan().segments(0).phase(), Segment::DENOISE);
  }
}

TEST(SchedulerTest, ALongPromptComesInChunksThatLeaveTheOthersTheirRows) {
  Simulation simulation({4, 32, 64, 64, true});
  simulation.Add(Request(4, 400));
  ASSERT_TRUE(simulation.Step());
  simulation.Add(Request(1000, 4));
  int chunks = 0;
  while (simulation.ended().empty() && chunks < 60) {
    ASSERT_TRUE(simulation.Step());
    ASSERT_EQ(simulation.last_plan().segments_size(), 2);
    ++chunks;
  }
  EXPECT_GE(chunks, 1000 / 28);
}

TEST(SchedulerTest, APromptOfLargeBlocksIsPrefilledBesideAFullStepOfOthers) {
  Simulation simulation({8, 64, 64, 64, true});
  for (int i = 0; i < 6; ++i) simulation.Add(Request(8, 400, 8));
  ASSERT_TRUE(simulation.Step());
  const SequenceId large = simulation.Add(Request(320, 1, 32));
  for (int step = 0; step < 100 && simulation.ended().count(large.value()) == 0; ++step) {
    ASSERT_TRUE(simulation.Step());
  }
  EXPECT_EQ(simulation.ended().count(large.value()), 1u);
}

TEST(SchedulerTest, FirstComeFirstServedWhenSlotsAreFew) {
  Simulation simulation({1, 64, 8, 64, true});
  std::vector<uint64_t> order;
  for (int i = 0; i < 4; ++i) simulation.Add(Request(5, 6));
  size_t known = 0;
  while (simulation.Step()) {
    if (simulation.ended().size() > known) order.push_back(simulation.ended().size());
    known = simulation.ended().size();
  }
  EXPECT_EQ(order, (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(simulation.ended().begin()->first, 1u);
}

TEST(SchedulerTest, ACancelBetweenPlanAndApplyIsHarmless) {
  Simulation simulation({4, 64, 8, 64, true});
  const SequenceId first = simulation.Add(Request(5, 40));
  simulation.Add(Request(5, 8));
  simulation.Between([&] { simulation.scheduler().Cancel(first, absl::CancelledError("gone")); });
  while (simulation.Step()) {
  }
  EXPECT_THAT(simulation.ended().at(1).status, StatusIs(absl::StatusCode::kCancelled, "gone"));
  EXPECT_THAT(simulation.ended().at(2).status, IsOk());
  EXPECT_EQ(simulation.scheduler().num_free_slots(), 4);
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 8);
}

class RandomLoadTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(RandomLoadTest, EverySequenceEndsOnceAndSlotsAndPagesAreConserved) {
  const unsigned seed = GetParam();
  const bool fused = seed % 2 == 0;
  Simulation simulation({3, 40, 9, 16, fused}, seed);
  std::mt19937& random = simulation.random();
  std::vector<SequenceId> added;
  simulation.Between([&] {
    if (random() % 40 == 0 && !added.empty()) {
      simulation.scheduler().Cancel(added[random() % added.size()],
                                    absl::CancelledError("cancelled"));
    }
  });
  constexpr int kSteps = 10000;
  int idle_with_work = 0;
  for (int step = 0; step < kSteps; ++step) {
    if (random() % 12 == 0 && added.size() < 600) {
      const int block = random() % 2 == 0 ? 4 : 8;
      const int prompt = 1 + static_cast<int>(random() % 90);
      GenerationRequest request = Request(prompt, 1 + static_cast<int>(random() % 40), block);
      request.remasking.strategy = static_cast<RemaskingStrategy>(random() % 4);
      ASSERT_LE(PagesNeeded(prompt, request.stopping.max_tokens, block, 16), 9);
      added.push_back(simulation.Add(std::move(request)));
    }
    const bool work =
        simulation.scheduler().num_running() + simulation.scheduler().num_waiting() > 0;
    if (!simulation.Step() && work) ++idle_with_work;
    ASSERT_FALSE(::testing::Test::HasFatalFailure());
  }
  EXPECT_EQ(idle_with_work, 0);
  while (simulation.Step()) {
  }
  EXPECT_EQ(simulation.ended().size(), added.size());
  EXPECT_EQ(simulation.scheduler().num_free_slots(), 3);
  EXPECT_EQ(simulation.scheduler().num_free_pages(), 9);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLoadTest, ::testing::Range(1u, 7u));

TEST(RandomLoadTest, NoRunningSequenceWaitsLongerThanItsTurn) {
  // 8 sequences that each want 16 rows of a step of 32: everybody is served at least every fourth
  // step.
  Simulation simulation({8, 32, 64, 64, true});
  for (int i = 0; i < 8; ++i) simulation.Add(Request(8, 200, 8));
  std::map<uint32_t, int> last;
  for (int step = 0; step < 200 && simulation.Step(); ++step) {
    for (const Segment& segment : simulation.last_plan().segments()) {
      if (last.count(segment.slot()) != 0) {
        EXPECT_LE(step - last[segment.slot()], 4);
      }
      last[segment.slot()] = step;
    }
  }
  EXPECT_EQ(last.size(), 8u);
}

}  // namespace
}  // namespace sdar
