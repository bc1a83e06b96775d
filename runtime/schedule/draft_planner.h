// SPDX-License-Identifier: Apache-2.0
// Decides which guessed later states a step evaluates with the true ones.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "runtime/diffusion/drafts.h"
#include "runtime/schedule/draft_rates.h"
#include "runtime/schedule/draft_trials.h"
#include "runtime/schedule/sequence.h"
#include "runtime/schedule/step_cost.h"

namespace sdar {

// A draft that a step may evaluate.
struct PlannedDraft {
  Draft draft;
  double probability = 0;    // that it comes true, as estimated
  bool planned = false;      // it is part of the step; then so is its parent
  bool writes = false;       // it writes the K/V of the block it finishes
  size_t first_summary = 0;  // of the step's logit rows
};
using DraftTree = std::vector<PlannedDraft>;  // parents before their children

// Chooses, by how often such drafts have come true and by what a step of that many rows costs,
// those that let the sequences of a step advance most steps per millisecond: none where rows are
// dear, or where trials have shown that it is faster without. One thread.
class DraftPlanner {
 public:
  // A sequence that may have drafts.
  struct Wish {
    const Sequence* sequence = nullptr;
    bool can_write = false;  // its next block's page is there
    DraftTree* tree = nullptr;
  };

  // Fills the trees of a step of `num_sequences` sequences that has `rows` rows so far and may have
  // `max_rows`.
  void Plan(absl::Span<const Wish> wishes, int num_sequences, int64_t rows, int64_t max_rows);

  // Notes whether a draft of this step whose parent is a true state is the one that followed it.
  void Count(const Sequence& sequence, const PlannedDraft& draft, bool came_true);
  // Notes that the step took `time` from the beginning of its planning to the end of its last
  // Count.
  void NoteStep(absl::Duration time);

  // Rows of a draft in a step.
  static int64_t Rows(const PlannedDraft& planned);

 private:
  class Growth;
  struct Load {
    double advances;
    int64_t rows;
    int64_t max_rows;
  };

  void PlanFixed(const Wish& wish, int count, Load& load) const;
  void PlanAutomatic(absl::Span<const Wish> wishes, Load& load) const;

  DraftRates rates_;
  StepCost cost_;
  DraftTrials trials_;
  // Of the step that was planned last.
  int num_sequences_ = 0;
  int64_t rows_ = 0;
  int64_t num_accepted_ = 0;
  bool on_trial_ = false;  // some sequences would have drafts if they pay
};

}  // namespace sdar
