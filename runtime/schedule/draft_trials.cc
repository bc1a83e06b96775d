// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/draft_trials.h"

#include <algorithm>
#include <bit>

namespace sdar {
namespace {

constexpr size_t kRuns = 5;             // of each kind in a trial; an odd number has a middle
constexpr double kLeastSpeedup = 1.03;  // of the runs with drafts
// Runs of which even the best with drafts is so much slower than the worst without end a trial.
constexpr size_t kFewestRuns = 2;
constexpr double kHopeless = 1.05;
// Steps between trials: doubled each time the verdict is the same.
constexpr int64_t kShortestWith = 256;
constexpr int64_t kShortestWithout = 1024;
constexpr int64_t kLongest = 8192;

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool IsHopeless(const std::vector<double>& with, const std::vector<double>& without) {
  return without.size() >= kFewestRuns && kHopeless * *std::max_element(with.begin(), with.end()) <
                                              *std::min_element(without.begin(), without.end());
}

}  // namespace

size_t DraftTrials::RangeOf(int num_sequences) {
  const auto octave = std::bit_width(static_cast<unsigned>(num_sequences - 1));
  return std::min(static_cast<size_t>(octave), kRanges - 1);
}

void DraftTrials::Note(int num_sequences, int64_t advances, absl::Duration time) {
  Trial& trial = trials_[RangeOf(num_sequences)];
  trial.advances += advances;
  trial.time += time;
  if (--trial.steps_left > 0) return;
  if (trial.settled) {
    trial.settled = false;
    StartRun(trial, true);
    return;
  }
  const double milliseconds = absl::ToDoubleMilliseconds(trial.time);
  auto& speeds = trial.drafts ? trial.speeds_with : trial.speeds_without;
  speeds.push_back(static_cast<double>(trial.advances) / std::max(milliseconds, 1e-6));
  const bool both = trial.speeds_with.size() == trial.speeds_without.size();
  if (both &&
      (trial.speeds_with.size() == kRuns || IsHopeless(trial.speeds_with, trial.speeds_without))) {
    Settle(trial);
  } else {
    StartRun(trial, !trial.drafts);
  }
}

void DraftTrials::StartRun(Trial& trial, bool drafts) {
  trial.drafts = drafts;
  trial.steps_left = kRunSteps;
  trial.advances = 0;
  trial.time = absl::ZeroDuration();
}

void DraftTrials::Settle(Trial& trial) {
  trial.settled = true;
  trial.drafts = Median(trial.speeds_with) > kLeastSpeedup * Median(trial.speeds_without);
  const bool again = trial.verdict == trial.drafts;
  trial.kept_steps = again          ? std::min(2 * trial.kept_steps, kLongest)
                     : trial.drafts ? kShortestWith
                                    : kShortestWithout;
  trial.verdict = trial.drafts;
  trial.steps_left = trial.kept_steps;
  trial.speeds_with.clear();
  trial.speeds_without.clear();
}

}  // namespace sdar
