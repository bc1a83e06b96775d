// SPDX-License-Identifier: Apache-2.0
// The scheduler under random load for 10^5 steps: what every client and every rank relies on.
#include <algorithm>
#include <map>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/schedule/simulation.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

constexpr int kSteps = 100'000;
constexpr int64_t kPageSize = 16;

struct Load {
  const char* name;
  SchedulerConfig config;
  int arrivals_per_1000_steps;
  bool drafts = false;
};

std::string NameOf(const ::testing::TestParamInfo<Load>& info) { return info.param.name; }

// Prompts begin with one of a few stems, so that the prefix cache has something to find.
GenerationRequest RandomRequest(std::mt19937& random, int64_t num_pages) {
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  const int block = below(2) == 0 ? 4 : 8;
  const int longest = static_cast<int>(num_pages * kPageSize);
  const int max_tokens = 1 + below(static_cast<unsigned>(std::min(longest / 2, 60)));
  const int prompt = 1 + below(static_cast<unsigned>(std::min(longest - max_tokens, 120)));
  GenerationRequest request = SimulatedRequest(prompt, max_tokens, block);
  std::fill(request.prompt.begin(), request.prompt.end(), 300 + below(3));
  if (below(2) == 0) request.prompt.back() = 400 + below(100);
  request.remasking.strategy = static_cast<RemaskingStrategy>(below(4));
  request.remasking.denoising_steps = 1 + below(static_cast<unsigned>(block));
  request.sampling.seed = random();
  request.priority = below(8) == 0 ? 1 : 0;
  return request;
}

// Scores the last tokens of its prompt instead of generating.
void MakeScore(std::mt19937& random, GenerationRequest& request) {
  const size_t most = std::min<size_t>(request.prompt.size(), 40);
  const auto first = request.prompt.end() - static_cast<std::ptrdiff_t>(1 + random() % most);
  request.targets.assign(first, request.prompt.end());
  request.prompt.erase(first, request.prompt.end());
}

class LoadTest : public ::testing::TestWithParam<Load> {
 protected:
  // The tokens that a request gives when it has the ranks to itself.
  static Simulation::Outcome Alone(GenerationRequest request) {
    request.deadline = SteadyTime::InfiniteFuture();
    request.drafts = 0;
    SchedulerConfig roomy{1, 256, 64, kPageSize, true};
    roomy.prefix_cache = false;
    Simulation simulation(roomy);
    simulation.Add(std::move(request));
    simulation.RunToEnd();
    return simulation.ended().at(1);
  }

  void AddSome() {
    Simulation& s = simulation_;
    if (static_cast<int>(random_() % 1000) >= GetParam().arrivals_per_1000_steps) return;
    if (s.scheduler().num_waiting() > 60) return;
    GenerationRequest request = RandomRequest(random_, GetParam().config.num_pages);
    if (GetParam().drafts) request.drafts = static_cast<int>(random_() % 10) - 1;
    if (random_() % 6 == 0) {
      request.deadline =
          SteadyTime() + absl::Seconds(step_ + 1 + static_cast<int64_t>(random_() % 400));
    }
    if (random_() % 5 == 0) MakeScore(random_, request);
    const SequenceId leader = s.Add(request);
    requests_.push_back(request);
    const unsigned followers = random_() % 10 == 0 ? 3 : 0;
    for (unsigned i = 0; i < followers; ++i) {
      request.sampling.seed = random_();
      s.Add(request, leader);
      requests_.push_back(request);
    }
  }

  void CancelOne() {
    if (random_() % 50 != 0 || requests_.empty()) return;
    const uint64_t recent = std::min<uint64_t>(requests_.size(), 40);
    simulation_.scheduler().Cancel(SequenceId(requests_.size() - random_() % recent),
                                   absl::CancelledError("cancelled"));
  }

  std::mt19937 random_{20261124};
  Simulation simulation_{GetParam().config};
  std::vector<GenerationRequest> requests_;  // of sequence i + 1
  int64_t step_ = 0;
};

TEST_P(LoadTest, NothingDeadlocksStarvesLeaksOrChangesWhatIsGenerated) {
  Scheduler& scheduler = simulation_.scheduler();
  simulation_.Between([&] { CancelOne(); });
  for (; step_ < kSteps; ++step_) {
    AddSome();
    scheduler.ExpireDeadlines(SteadyTime() + absl::Seconds(step_));
    const bool work = scheduler.num_running() + scheduler.num_waiting() > 0;
    ASSERT_EQ(simulation_.Step(), work);
    ASSERT_FALSE(HasFailure()) << "step " << step_;
    ASSERT_EQ(scheduler.num_running() + scheduler.num_free_slots(),
              GetParam().config.max_sequences);
  }
  simulation_.RunToEnd();
  // Every accepted request ended, and (Simulation) exactly once.
  ASSERT_EQ(simulation_.ended().size(), requests_.size());
  EXPECT_EQ(scheduler.num_free_slots(), GetParam().config.max_sequences);
  EXPECT_EQ(scheduler.num_free_pages(), GetParam().config.num_pages);
  int64_t preempted = 0, cached = 0, finished = 0, preempted_scores = 0;
  for (const auto& [id, outcome] : simulation_.ended()) {
    if (!outcome.end.status.ok()) continue;
    ++finished;
    preempted += outcome.end.usage.preemptions > 0;
    cached += outcome.end.usage.cached_tokens > 0;
    preempted_scores += outcome.end.usage.preemptions > 0 && requests_[id - 1].scores();
    if (id % 7 != 0) continue;  // a sample: each costs as much again
    const Simulation::Outcome alone = Alone(requests_[id - 1]);
    ASSERT_EQ(outcome.tokens, alone.tokens) << id;
    ASSERT_EQ(outcome.logprobs, alone.logprobs) << id;
  }
  EXPECT_GT(finished, static_cast<int64_t>(requests_.size()) / 2);
  EXPECT_GT(preempted, 0) << "the load is too light to show anything";
  EXPECT_GT(preempted_scores, 0);
  EXPECT_EQ(cached > 0, GetParam().config.prefix_cache);
  EXPECT_EQ(scheduler.counters().steps.accepted_drafts > 1000, GetParam().drafts);
}

INSTANTIATE_TEST_SUITE_P(
    Loads, LoadTest,
    ::testing::Values(
        Load{"FewPages", {6, 48, 12, kPageSize, true, true, 16}, 120},
        Load{"OneLongSequenceFillsTheMemory", {4, 32, 5, kPageSize, true, true, 16}, 100},
        Load{"PlainCommits", {6, 48, 12, kPageSize, false, true, 16}, 110},
        Load{"NoPrefixCache", {6, 48, 12, kPageSize, true, false, 16}, 120},
        Load{"MoreSlotsThanRows", {16, 32, 24, kPageSize, true, true, 16}, 120},
        Load{"FewPagesWithDrafts", {6, 96, 12, kPageSize, true, true, 16}, 120, true},
        Load{"PlainCommitsWithDrafts", {6, 96, 12, kPageSize, false, true, 16}, 110, true},
        Load{"NoPrefixCacheWithDrafts", {6, 64, 12, kPageSize, true, false, 16}, 120, true}),
    NameOf);

// Who runs is first in a step when it has waited longest, and can then take pages from all who came
// later: it is served within as many steps as there are slots. Only who was preempted before it
// became the oldest waits longer: until those who run have ended, so a sequence's life at most.
TEST(StarvationTest, TheOldestIsServedWithinTheLifeOfOneSequence) {
  constexpr int kLongestLife = 60 * 8;  // a step a token, and every slot's turn between two steps
  const SchedulerConfig config{8, 32, 14, kPageSize, true, true, 16};
  Simulation simulation(config);
  std::mt19937 random(5);
  uint64_t added = 0, oldest = 1;
  int waited = 0;
  for (int step = 0; step < 20'000; ++step) {
    while (simulation.scheduler().num_waiting() < 20) {
      GenerationRequest request = RandomRequest(random, config.num_pages);
      request.priority = 0;
      request.sampling.seed = ++added;
      simulation.Add(request);
    }
    ASSERT_TRUE(simulation.Step());
    waited = simulation.served_seeds().count(oldest) != 0 ? 0 : waited + 1;
    ASSERT_LT(waited, kLongestLife) << oldest << " of " << added;
    while (simulation.HasEnded(SequenceId(oldest))) ++oldest;
  }
  EXPECT_GT(oldest, 500u);
}

TEST(StarvationTest, NobodyWhoRunsWaitsLongerThanAllOthersTakeTogether) {
  // 8 sequences that each want 16 rows of a step of 32: everybody is served at least every fourth
  // step.
  Simulation simulation({8, 32, 64, 64, true});
  for (int i = 0; i < 8; ++i) simulation.Add(SimulatedRequest(8, 200, 8));
  std::map<uint32_t, int> last;
  for (int step = 0; step < 200 && simulation.Step(); ++step) {
    for (const sdar::v1::Segment& segment : simulation.last_plan().segments()) {
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
