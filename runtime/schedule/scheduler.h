// SPDX-License-Identifier: Apache-2.0
// Decides what every step runs: which sequences hold slots and pages, and which of their rows come
// next.
#pragma once

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

#include "common/logit_summary.h"
#include "common/steady_time.h"
#include "runtime/schedule/draft_planner.h"
#include "runtime/schedule/mask_table.h"
#include "runtime/schedule/page_allocator.h"
#include "runtime/schedule/prefill_pace.h"
#include "runtime/schedule/prefix_cache.h"
#include "runtime/schedule/sequence.h"
#include "runtime/schedule/step_counters.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

struct SchedulerConfig {
  int max_sequences = 32;        // slots
  int64_t max_batch_rows = 512;  // rows of one step
  int64_t num_pages = 0;
  int64_t page_size = 64;
  bool fuse_commit =
      true;  // commit a finished block in the same pass as the next block's first step
  bool prefix_cache = true;
  int64_t max_prefill_rows = 128;  // rows of prompts in a step in which other sequences decode
  double prefill_share = 0.5;      // of such a step's time, for prompts: above 0, at most 1
};

// What the scheduler has done so far.
struct SchedulerCounters {
  int64_t preemptions = 0;
  int64_t prefix_cache_queried_tokens = 0;  // prompt tokens that were looked up
  int64_t prefix_cache_hit_tokens = 0;      // of these, those found
  StepCounters steps;
};

// z of the rows that were resolved, by index into the step's logit rows.
using ResolvedLogits = absl::flat_hash_map<int32_t, std::vector<float>>;

// Step-level batching: a sequence joins at the next step once it has a slot and room for what is
// known of it, and leaves when it ends. In a step, who waited longest is served first; prompts that
// are prefilled share the rows that those who decode leave, and at most max_prefill_rows beside
// them. Pages are taken as they fill. When there are none, the least senior of the running is
// preempted: it waits again, in front of all who came later, and is recomputed from what it has
// revealed. The most senior can always get the pages it needs (ValidateRequest), so some sequence
// always goes on. Owns the sequences. One thread.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);

  // Queues a validated sequence by its seniority.
  void Add(std::unique_ptr<Sequence> sequence);

  // Ends a sequence with `status`, waiting or running; its slot and pages are free at once. False
  // when there is none.
  bool Cancel(SequenceId id, const absl::Status& status);
  void CancelAll(const absl::Status& status);
  // Ends the sequences whose deadline is not after `now` with DeadlineExceeded.
  void ExpireDeadlines(SteadyTime now);

  // Adds released slots and the next segments to `plan`. False when there is nothing to run. Every
  // plan must be followed by Apply with its outcome, with cancellations allowed in between.
  bool FillPlan(sdar::v1::StepPlan& plan);

  // Logit rows of the last plan that the next Apply uses and whose choice needs whole logits.
  std::vector<int32_t> RowsToResolve(absl::Span<const LogitSummary> summaries);

  // Advances the sequences of the last plan by one denoising step, or by the targets that it read.
  // summaries: one per masked row, in the plan's order. True when drafts came true: then another
  // Apply makes their next step.
  bool Apply(absl::Span<const LogitSummary> summaries, const ResolvedLogits& resolved);

  // Notes how long the last plan took, from FillPlan to the last Apply.
  void NoteStepTime(absl::Duration time);

  const SchedulerConfig& config() const { return config_; }
  const SchedulerCounters& counters() const { return counters_; }
  int num_running() const { return static_cast<int>(running_.size()); }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  int num_free_slots() const { return static_cast<int>(free_slots_.size()); }
  // Pages that a sequence could have now: free ones, and those that only the prefix cache holds.
  int64_t num_free_pages() const { return pages_.num_free() + cache_.num_idle(); }
  int64_t num_cached_pages() const { return cache_.num_entries(); }

 private:
  struct Running {
    std::unique_ptr<Sequence> sequence;
    SlotId slot;
    std::vector<PageId> pages;
    size_t num_announced = 0;  // pages that the ranks know of
    size_t num_offered = 0;    // full pages that the cache has been offered or gave
    bool announced = false;    // the ranks have its sampling record
    int64_t last_served = 0;   // step count
  };
  // What the last plan asks of a sequence, in the plan's order.
  struct Planned {
    Running* running;  // null once it has left, or has no more to apply
    int64_t pending_rows = 0;
    bool denoise = false;
    int64_t num_targets = 0;  // of a sequence that scores
    DraftTree drafts = {};
    // What the next Apply takes: the rows of its true state, then those of drafts that came true.
    int at = -1;               // the draft; -1: the true state
    size_t first_summary = 0;  // of the step's logit rows
    size_t num_summaries = 0;
    // What a grammar chooses by them, where no row has to be resolved for it.
    std::optional<GuidedChoices> guided = {};
  };
  // Rows that are left in the step being planned.
  struct RowBudget {
    int64_t rows;
    int64_t prefill_rows;
    double prefill_milliseconds = std::numeric_limits<double>::infinity();
    bool has_prefill = false;
    bool may_rest = false;      // prompts, in this step
    bool prompts_rest = false;  // they do
  };

  void Admit();
  bool HasToFollow(const Sequence& sequence) const;
  bool Start(std::unique_ptr<Sequence>& sequence);
  std::vector<std::pair<SequenceId, Running*>> ServiceOrder() const;
  int64_t DecodeRows(const Sequence& sequence) const;
  bool SavesAPass(const Sequence& sequence, int64_t rows) const;
  RowBudget BudgetOf(int64_t decode_rows) const;
  void PlanSequences(RowBudget& budget);
  bool PromptsRest(const Sequence& sequence, RowBudget& budget) const;
  int64_t RowsForPrompt(const Sequence& sequence, const RowBudget& budget) const;
  bool PlanSequence(Running& running, RowBudget& budget);
  void PlanDrafts(const RowBudget& budget);
  bool CanWriteDraft(const Running& running) const;
  bool EnsurePages(Running& running, int64_t num_positions);
  bool MakeRoom(int64_t num_pages, const Running& wanting);
  void AddSegments(Planned& planned, sdar::v1::StepPlan& plan);
  void AddOwnSegments(Planned& planned, sdar::v1::StepPlan& plan);
  void AddMask(const Sequence& sequence, const Draft* draft, sdar::v1::StepPlan& plan);
  static void Announce(Running& running, sdar::v1::Segment& segment);
  static absl::Status CheckLogits(const Sequence& sequence,
                                  absl::Span<const LogitSummary> summaries);
  void ChooseTokens(const Sequence& sequence, absl::Span<const LogitSummary> summaries,
                    size_t first, const ResolvedLogits& resolved);
  void AddUndecided(Planned& planned, absl::Span<const LogitSummary> summaries,
                    std::vector<int32_t>& rows);
  static std::optional<GuidedChoices> ChooseGuided(Planned& planned,
                                                   absl::Span<const LogitSummary> own,
                                                   const ResolvedLogits& resolved);
  absl::StatusOr<StepOutcome> ApplyLogits(Planned& planned, int64_t committed_rows,
                                          absl::Span<const LogitSummary> own,
                                          const ResolvedLogits& resolved);
  bool ApplyNext(Planned& planned, absl::Span<const LogitSummary> summaries,
                 const ResolvedLogits& resolved);
  static void NoteNextBlock(const Planned& planned, absl::Span<const LogitSummary> summaries);
  bool FollowDraft(Planned& planned);
  void Count(const StepOutcome& outcome);
  void OfferPages(Running& running);
  std::unique_ptr<Sequence> Leave(Running& running);
  Running* Find(SequenceId id) const;

  SchedulerConfig config_;
  PageAllocator pages_;
  PrefixCache cache_;
  MaskTable masks_;
  absl::btree_map<Seniority, std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Running>> running_;
  absl::btree_set<std::pair<SteadyTime, SequenceId>> deadlines_;
  std::vector<SlotId> free_slots_;
  std::vector<SlotId> released_;  // to be told to the ranks with the next plan
  std::vector<Planned> planned_;
  std::vector<Choice> choices_;  // of the sequence whose outcome is being applied
  DraftPlanner draft_planner_;
  size_t num_summaries_ = 0;  // of the plan so far
  PrefillPace prefill_pace_;
  // Of the last plan.
  int64_t decode_rows_ = 0;
  std::vector<PrefillPace::Piece> pieces_;
  bool prompts_waited_ = false;
  SchedulerCounters counters_;
  int64_t steps_ = 0;
};

}  // namespace sdar
