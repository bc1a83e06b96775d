// SPDX-License-Identifier: Apache-2.0
// A scheduler over made-up ranks whose "model" reads its K/V pages, so that a page that is shared,
// reused or committed wrongly changes what is generated.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "runtime/schedule/scheduler.h"
#include "runtime/step/segment_rows.h"

namespace sdar {

inline constexpr TokenId kSimulatedMask = 965;
inline constexpr int kSimulatedVocabulary = 1024;

inline const Tokenizer& TinyTokenizer() {
  static const Tokenizer tokenizer =
      *Tokenizer::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return tokenizer;
}

inline GenerationRequest SimulatedRequest(int prompt_length, int max_tokens, int block_length = 4) {
  GenerationRequest request;
  request.prompt.assign(static_cast<size_t>(prompt_length), 300);
  request.stopping.max_tokens = max_tokens;
  request.remasking.block_length = block_length;
  request.remasking.denoising_steps = block_length;
  return request;
}

inline int CountRows(const sdar::v1::StepPlan& plan) {
  int rows = 0;
  for (const sdar::v1::Segment& segment : plan.segments()) rows += segment.token_ids_size();
  return rows;
}

inline int CountMasked(const sdar::v1::StepPlan& plan) {
  int count = 0;
  for (const sdar::v1::Segment& segment : plan.segments()) {
    for (int row = 0; row < segment.token_ids_size(); ++row) count += IsMaskedRow(segment, row);
  }
  return count;
}

// A hash that is the same in every run, so that a load repeats.
inline uint64_t Mix(std::initializer_list<uint64_t> values) {
  uint64_t state = 0x9E3779B97F4A7C15ull;
  for (uint64_t value : values) {
    state = (state ^ value) * 0xBF58476D1CE4E5B9ull;
    state ^= state >> 31;
  }
  return state * 0x94D049BB133111EBull ^ state >> 29;
}

// The z of an id at a position with these K/V, where another id is chosen. Below 0.
inline float SimulatedZ(uint64_t kv, TokenId id) {
  return -1 - static_cast<float>(Mix({kv, static_cast<uint64_t>(id)}) % 1000) / 100;
}

// A request that scores the last `num_targets` of `length` made-up tokens. The same `kind`: the
// same tokens.
inline GenerationRequest SimulatedScore(int length, int num_targets, int block_length = 4,
                                        uint64_t kind = 0) {
  GenerationRequest request;
  for (int i = 0; i < length; ++i) {
    const auto id = static_cast<TokenId>(Mix({kind, static_cast<uint64_t>(i)}) % 900);
    (i < length - num_targets ? request.prompt : request.targets).push_back(id);
  }
  request.remasking.block_length = block_length;
  request.remasking.denoising_steps = block_length;
  return request;
}

// A summary in which one token is as good as certain.
inline LogitSummary CertainOf(TokenId id, double confidence) {
  LogitSummary summary;
  summary.max = 0;
  summary.sum_exp = 1 / confidence;
  summary.sum_weighted = -0.1;
  summary.allowed_sum_exp = 1 / confidence;
  summary.num_allowed = 1;
  summary.num_candidates = 1;
  summary.candidates[0] = {id, 0};
  summary.drawn_id = id;
  summary.drawn_z = 0;
  return summary;
}

// What the ranks would do with plans. The K/V of a position are a hash of all tokens up to the end
// of its block. The token of a masked position is one of what its row sees: mostly of the blocks
// before its own, so that the next step mostly chooses the same and drafts come true. Fails on what
// a worker would refuse.
class FakeRanks {
 public:
  explicit FakeRanks(const SchedulerConfig& config)
      : config_(config),
        pages_(static_cast<size_t>(config.num_pages),
               std::vector<uint64_t>(static_cast<size_t>(config.page_size))) {}

  std::vector<LogitSummary> Execute(const sdar::v1::StepPlan& plan) {
    EXPECT_LE(CountRows(plan), config_.max_batch_rows);
    for (uint32_t slot : plan.released_slots()) EXPECT_EQ(slots_.erase(slot), 1u);
    std::vector<LogitSummary> summaries;
    std::set<uint32_t> planned;
    served_.clear();
    for (const sdar::v1::Segment& segment : plan.segments()) {
      const bool first = planned.insert(segment.slot()).second;
      const bool is_draft = segment.phase() == sdar::v1::Segment::DRAFT;
      EXPECT_TRUE(first != is_draft || (is_draft && segment.asked_ids_size() > 0));
      Run(segment, summaries);
    }
    return summaries;
  }
  // Seeds of the sequences in the last plan.
  const std::set<uint64_t>& served() const { return served_; }

 private:
  struct Slot {
    std::vector<uint32_t> pages;
    uint32_t committed = 0;
    uint32_t tentative = 0;  // positions after them
    uint64_t seed = 0;
  };

  uint64_t& KvAt(const Slot& slot, uint32_t position) {
    const auto size = static_cast<uint32_t>(config_.page_size);
    return pages_[slot.pages[position / size]][position % size];
  }

  Slot& Open(const sdar::v1::Segment& segment) {
    const bool is_new = slots_.count(segment.slot()) == 0;
    EXPECT_EQ(is_new, segment.has_sampling());
    Slot& slot = slots_[segment.slot()];
    for (uint32_t page : segment.new_pages()) {
      EXPECT_LT(page, pages_.size());
      slot.pages.push_back(page);
    }
    if (is_new) {
      slot.seed = segment.sampling().seed();
      slot.committed = segment.first_position();  // what the prefix cache gave
    }
    return slot;
  }

  // Rows of the segment whose K/V are written.
  static uint32_t Place(const sdar::v1::Segment& segment, Slot& slot) {
    using sdar::v1::Segment;
    const auto rows = static_cast<uint32_t>(segment.token_ids_size());
    const uint32_t first = segment.first_position();
    if (segment.phase() == Segment::DRAFT) {
      EXPECT_TRUE(first == slot.committed || first == slot.committed + slot.tentative ||
                  (first < slot.committed && segment.asked_ids_size() > 0))
          << first;
      if (segment.tentative_rows() == 0) return 0;
      EXPECT_EQ(slot.tentative, 0u) << "two drafts write";
      EXPECT_EQ(first, slot.committed);
      slot.tentative = segment.tentative_rows();
      return slot.tentative;
    }
    if (first != slot.committed) {
      EXPECT_EQ(first, slot.committed + slot.tentative);
      slot.committed = first;
    }
    slot.tentative = 0;
    const bool denoises = segment.phase() != Segment::PREFILL && segment.phase() != Segment::COMMIT;
    const uint32_t to_commit = denoises ? rows - segment.block_length() : rows;
    slot.committed += to_commit;
    return to_commit;
  }

  void Run(const sdar::v1::Segment& segment, std::vector<LogitSummary>& summaries) {
    Slot& slot = Open(segment);
    served_.insert(slot.seed);
    const uint32_t block = segment.block_length();
    const auto rows = static_cast<uint32_t>(segment.token_ids_size());
    const uint32_t first = segment.first_position();
    const uint32_t to_write = Place(segment, slot);
    ASSERT_EQ(first % block, 0u);
    ASSERT_EQ(rows % block, 0u);
    ASSERT_LE(first + to_write, slot.pages.size() * static_cast<size_t>(config_.page_size));
    int asked = 0;
    uint64_t seen = Mix({block});
    for (uint32_t p = 0; p < first; ++p) seen = Mix({seen, KvAt(slot, p)});
    for (uint32_t row = 0; row < rows; row += block) {
      const uint64_t before = seen;
      uint64_t state = seen;
      for (uint32_t i = 0; i < block; ++i) {
        state = Mix({state, segment.token_ids(static_cast<int>(row + i))});
      }
      for (uint32_t i = 0; i < block; ++i) {
        const uint32_t position = first + row + i;
        const uint64_t kv = Mix({state, position});
        seen = Mix({seen, kv});
        if (row < to_write) KvAt(slot, position) = kv;
        if (!IsMaskedRow(segment, static_cast<int>(row + i))) continue;
        const uint64_t own = Mix({kv, slot.seed, segment.step_index()});
        const uint64_t draw = own % 4 == 0 ? own : Mix({before, position, slot.seed});
        summaries.push_back(CertainOf(static_cast<TokenId>(draw % 900),
                                      static_cast<double>(1 + draw / 1024 % 1000) / 1001));
        if (asked == segment.asked_ids_size()) continue;
        const auto id = static_cast<TokenId>(segment.asked_ids(asked++));
        summaries.back().asked_z = id == summaries.back().candidates[0].id ? 0 : SimulatedZ(kv, id);
      }
    }
  }

  SchedulerConfig config_;
  std::vector<std::vector<uint64_t>> pages_;
  std::map<uint32_t, Slot> slots_;
  std::set<uint64_t> served_;
};

// A scheduler, the ranks, and how its sequences ended.
class Simulation {
 public:
  struct Outcome {
    std::vector<TokenId> tokens;
    std::vector<double> logprobs;
    std::vector<bool> greedy;
    SequenceEnd end;
  };

  explicit Simulation(const SchedulerConfig& config) : scheduler_(config), ranks_(config) {}

  SequenceId Add(GenerationRequest request, std::optional<SequenceId> leader = std::nullopt) {
    const SequenceId id(++next_);
    auto sequence = std::make_unique<Sequence>(
        id, std::move(request),
        [this, id](SequenceUpdate update) { Take(id.value(), std::move(update)); }, TinyTokenizer(),
        kSimulatedMask);
    if (leader) sequence->Follow(*leader);
    scheduler_.Add(std::move(sequence));
    return id;
  }

  // One step; false when there is nothing to run.
  bool Step() {
    sdar::v1::StepPlan plan;
    if (!scheduler_.FillPlan(plan)) return false;
    plan_ = std::move(plan);
    const std::vector<LogitSummary> summaries = ranks_.Execute(plan_);
    if (between_) between_();
    do {
      EXPECT_TRUE(scheduler_.RowsToResolve(summaries).empty());
    } while (scheduler_.Apply(summaries, {}));
    return true;
  }
  void RunToEnd() {
    while (Step()) {
    }
  }

  Scheduler& scheduler() { return scheduler_; }
  const sdar::v1::StepPlan& last_plan() const { return plan_; }
  const std::set<uint64_t>& served_seeds() const { return ranks_.served(); }
  const std::map<uint64_t, Outcome>& ended() const { return ended_; }
  bool HasEnded(SequenceId id) const { return ended_.count(id.value()) != 0; }
  // Something to do between every plan and its outcome.
  void Between(std::function<void()> action) { between_ = std::move(action); }

 private:
  void Take(uint64_t id, SequenceUpdate update) {
    ASSERT_EQ(ended_.count(id), 0u);
    Outcome& outcome = open_[id];
    for (const RevealedToken& token : update.tokens) {
      outcome.tokens.push_back(token.id);
      outcome.logprobs.push_back(token.logprob);
      outcome.greedy.push_back(token.greedy);
    }
    if (!update.end) return;
    outcome.end = *update.end;
    ended_[id] = std::move(outcome);
    open_.erase(id);
  }

  Scheduler scheduler_;
  FakeRanks ranks_;
  sdar::v1::StepPlan plan_;
  std::map<uint64_t, Outcome> open_, ended_;
  std::function<void()> between_;
  uint64_t next_ = 0;
};

}  // namespace sdar
