// SPDX-License-Identifier: Apache-2.0
// Finds out by trial whether drafts pay.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace sdar {

// What a plan is worth by estimated costs is overrated: of many plans the one is taken whose cost
// is underrated most. So, for each range of how many sequences a step has, runs of steps with the
// planned drafts and without any are timed in turn; what is faster is then kept for long, and tried
// anew after that. One thread.
class DraftTrials {
 public:
  // Whether a step of this many sequences, at least 1, is to have drafts.
  bool Wants(int num_sequences) const { return trials_[RangeOf(num_sequences)].drafts; }

  // Notes that a step of this many sequences, with drafts as was wanted, took `time` and made
  // `advances` denoising steps of one sequence each.
  void Note(int num_sequences, int64_t advances, absl::Duration time);

 private:
  static constexpr size_t kRanges = 16;
  static constexpr int64_t kRunSteps = 8;

  struct Trial {
    bool settled = false;
    bool drafts = true;               // kept where settled, else of this run
    int64_t steps_left = kRunSteps;   // of what is settled or of this run
    std::optional<bool> verdict;      // of the last trial
    int64_t kept_steps = 0;           // steps it was kept
    int64_t advances = 0;             // of this run
    absl::Duration time;              // of this run
    std::vector<double> speeds_with;  // advances per millisecond of the runs
    std::vector<double> speeds_without;
  };

  static size_t RangeOf(int num_sequences);
  static void StartRun(Trial& trial, bool drafts);
  static void Settle(Trial& trial);

  std::array<Trial, kRanges> trials_;
};

}  // namespace sdar
