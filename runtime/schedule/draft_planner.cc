// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/draft_planner.h"

#include <algorithm>
#include <memory>
#include <queue>
#include <utility>

namespace sdar {
namespace {

constexpr double kLeastProbability = 0.03;  // of a draft that is worth looking at
constexpr double kLeastGain = 1.02;         // of all drafts of a step, else there are none

}  // namespace

// One sequence's tree and the drafts that it could have next.
class DraftPlanner::Growth {
 public:
  Growth(const Wish& wish, const DraftRates& rates)
      : wish_(wish), rates_(rates), predictor_(wish.sequence->draft_basis()) {
    AddChildren(-1, predictor_.After(wish.sequence->block()));
  }

  // The likeliest draft whose parent is planned, likely for the rows it takes or as such; -1: none.
  int Best(bool per_row) const {
    int best = -1;
    double best_value = 0;
    for (size_t i = 0; i < tree().size(); ++i) {
      const PlannedDraft& draft = tree()[i];
      const bool open = !draft.planned && draft.probability >= kLeastProbability &&
                        (draft.draft.parent < 0 || At(draft.draft.parent).planned);
      const double value =
          per_row ? draft.probability / static_cast<double>(Rows(draft)) : draft.probability;
      if (!open || value <= best_value) continue;
      best = static_cast<int>(i);
      best_value = value;
    }
    return num_planned_ < kMaxDrafts ? best : -1;
  }
  const PlannedDraft& At(int index) const { return tree()[static_cast<size_t>(index)]; }

  void Take(int index) {
    ++num_planned_;
    PlannedDraft& taken = tree()[static_cast<size_t>(index)];
    taken.planned = true;
    if (taken.draft.begins_next_block()) {
      taken.writes = wish_.can_write && !has_writer_;
      has_writer_ = has_writer_ || taken.writes;
      // What follows sees the finished block in the pages only.
      if (!taken.writes) return;
    }
    AddChildren(index, predictor_.After(taken.draft));
  }
  void GiveBack(int index) {
    PlannedDraft& taken = tree()[static_cast<size_t>(index)];
    taken.planned = taken.writes = false;
    --num_planned_;
  }

 private:
  DraftTree& tree() const { return *wish_.tree; }

  void AddChildren(int parent, std::vector<Draft> drafts) {
    const GenerationRequest& request = wish_.sequence->request();
    const double probability = parent < 0 ? 1 : At(parent).probability;
    for (Draft& draft : drafts) {
      draft.parent = parent;
      const double rate = rates_.Rate(draft, request.remasking, request.sampling);
      tree().push_back({std::move(draft), probability * rate});
    }
  }

  Wish wish_;
  const DraftRates& rates_;
  DraftPredictor predictor_;
  int num_planned_ = 0;
  bool has_writer_ = false;
};

int64_t DraftPlanner::Rows(const PlannedDraft& planned) {
  const Draft& draft = planned.draft;
  return int64_t{draft.state.block_length()} * (draft.begins_next_block() ? 2 : 1);
}

void DraftPlanner::Plan(absl::Span<const Wish> wishes, int num_sequences, int64_t rows,
                        int64_t max_rows) {
  Load load{static_cast<double>(num_sequences), rows, max_rows};
  std::vector<Wish> automatic;
  for (const Wish& wish : wishes) {
    const int count = wish.sequence->request().drafts;
    if (count == kAutomaticDrafts) {
      automatic.push_back(wish);
    } else {
      PlanFixed(wish, count, load);
    }
  }
  on_trial_ = !automatic.empty();
  if (on_trial_ && trials_.Wants(num_sequences)) PlanAutomatic(automatic, load);
  num_sequences_ = num_sequences;
  rows_ = load.rows;
  num_accepted_ = 0;
}

void DraftPlanner::Count(const Sequence& sequence, const PlannedDraft& draft, bool came_true) {
  const GenerationRequest& request = sequence.request();
  rates_.Count(draft.draft, request.remasking, request.sampling, came_true);
  if (came_true && draft.planned) ++num_accepted_;
}

void DraftPlanner::NoteStep(absl::Duration time) {
  cost_.Add(rows_, time);
  if (on_trial_) trials_.Note(num_sequences_, num_sequences_ + num_accepted_, time);
}

void DraftPlanner::PlanFixed(const Wish& wish, int count, Load& load) const {
  Growth growth(wish, rates_);
  for (int i = 0; i < count; ++i) {
    const int best = growth.Best(false);
    if (best < 0 || load.rows + Rows(growth.At(best)) > load.max_rows) return;
    load.rows += Rows(growth.At(best));
    load.advances += growth.At(best).probability;
    growth.Take(best);
  }
}

// Takes drafts by falling probability per row, then gives back those after the number at which
// most steps are made per millisecond.
void DraftPlanner::PlanAutomatic(absl::Span<const Wish> wishes, Load& load) const {
  std::vector<std::unique_ptr<Growth>> growths;
  std::priority_queue<std::pair<double, size_t>> queue;  // the value of a growth's best draft
  const auto enqueue = [&](size_t g) {
    const int best = growths[g]->Best(true);
    if (best < 0) return;
    const PlannedDraft& draft = growths[g]->At(best);
    queue.emplace(draft.probability / static_cast<double>(Rows(draft)), g);
  };
  for (const Wish& wish : wishes) {
    growths.push_back(std::make_unique<Growth>(wish, rates_));
    enqueue(growths.size() - 1);
  }
  double best_rate = kLeastGain * load.advances / cost_.Milliseconds(load.rows);
  std::vector<std::pair<Growth*, int>> taken;
  size_t num_kept = 0;
  while (!queue.empty()) {
    const size_t g = queue.top().second;
    queue.pop();
    const int best = growths[g]->Best(true);
    const PlannedDraft& draft = growths[g]->At(best);
    if (load.rows + Rows(draft) > load.max_rows) break;
    load.rows += Rows(draft);
    load.advances += draft.probability;
    growths[g]->Take(best);
    taken.emplace_back(growths[g].get(), best);
    const double rate = load.advances / cost_.Milliseconds(load.rows);
    if (rate > best_rate) {
      best_rate = rate;
      num_kept = taken.size();
    }
    enqueue(g);
  }
  for (size_t i = num_kept; i < taken.size(); ++i) {
    load.rows -= Rows(taken[i].first->At(taken[i].second));
    taken[i].first->GiveBack(taken[i].second);
  }
}

}  // namespace sdar
