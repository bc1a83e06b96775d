// SPDX-License-Identifier: Apache-2.0
// Decides what every step runs: which sequences hold slots and pages, and which of their rows come
// next.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "common/logit_summary.h"
#include "runtime/engine/page_allocator.h"
#include "runtime/engine/sequence.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

struct SchedulerConfig {
  int max_sequences = 32;        // slots
  int64_t max_batch_rows = 512;  // rows of one step
  int64_t num_pages = 0;
  int64_t page_size = 64;
  bool fuse_commit =
      true;  // commit a finished block in the same pass as the next block's first step
};

// z of the rows that were resolved, by index into the step's logit rows.
using ResolvedLogits = absl::flat_hash_map<int32_t, std::vector<float>>;

// Step-level batching, first come first served: a sequence joins at the step after it gets a slot
// and the pages of its whole life, and leaves when it ends. Sequences that decode come before
// prompts that are prefilled, which share the rows that are left, a quarter of the step at least;
// who waited longest is served first. Owns the sequences. One thread.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);

  // Puts a validated sequence at the end of the queue.
  void Add(std::unique_ptr<Sequence> sequence);

  // Ends a sequence with `status`, waiting or running; its slot and pages are free at once. False
  // when there is none.
  bool Cancel(SequenceId id, const absl::Status& status);
  void CancelAll(const absl::Status& status);

  // Adds released slots and the next segments to `plan`. False when there is nothing to run. Every
  // plan must be followed by Apply with its outcome, with cancellations allowed in between.
  bool FillPlan(sdar::v1::StepPlan& plan);

  // Logit rows of the last plan whose choice needs whole logits.
  std::vector<int32_t> RowsToResolve(absl::Span<const LogitSummary> summaries) const;

  // Advances the sequences of the last plan. summaries: one per masked row, in the plan's order.
  void Apply(absl::Span<const LogitSummary> summaries, const ResolvedLogits& resolved);

  const SchedulerConfig& config() const { return config_; }
  int num_running() const { return static_cast<int>(running_.size()); }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  int num_free_slots() const { return static_cast<int>(free_slots_.size()); }
  int64_t num_free_pages() const { return pages_.num_free(); }

 private:
  struct Running {
    std::unique_ptr<Sequence> sequence;
    SlotId slot;
    std::vector<PageId> pages;
    bool announced = false;   // the ranks know its pages and sampling record
    int64_t last_served = 0;  // step count
  };
  // What the last plan asked of a sequence, in the plan's order.
  struct Planned {
    SequenceId id;
    int64_t pending_rows;
    bool denoise;
    int num_masked;
  };

  void Admit();
  void PlanSequence(Running& running, int64_t decode_rows, int64_t& prefill_rows,
                    int64_t& rows_left, sdar::v1::StepPlan& plan);
  int64_t DecodeRows(const Sequence& sequence) const;
  void Release(size_t index);
  Running* Find(SequenceId id);

  SchedulerConfig config_;
  PageAllocator pages_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<Running> running_;
  std::vector<SlotId> free_slots_;
  std::vector<SlotId> released_;  // to be told to the ranks with the next plan
  std::vector<Planned> planned_;
  int64_t steps_ = 0;
};

}  // namespace sdar
