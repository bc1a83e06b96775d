// SPDX-License-Identifier: Apache-2.0
// What an engine's steps have done so far, counted without allocating.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace sdar {

// How often small positive numbers have come. Thread-hostile.
struct CountHistogram {
  // A number belongs to the first bound that is not below it, or comes after them all.
  static constexpr std::array<int, 12> kBounds = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

  void Add(int number) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), number);
    ++counts[static_cast<size_t>(bound - kBounds.begin())];
    sum += static_cast<uint64_t>(number);
  }
  CountHistogram& operator+=(const CountHistogram& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
  uint64_t total() const { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); }

  std::array<uint64_t, kBounds.size() + 1> counts{};
  uint64_t sum = 0;  // of the numbers
};

struct StepCounters {
  StepCounters& operator+=(const StepCounters& other) {
    forward_passes += other.forward_passes;
    rows += other.rows;
    drafts += other.drafts;
    draft_rows += other.draft_rows;
    accepted_drafts += other.accepted_drafts;
    steps_per_block += other.steps_per_block;
    reveals_per_step += other.reveals_per_step;
    return *this;
  }

  // What was counted since `before`; the histograms stay whole.
  StepCounters operator-(const StepCounters& before) const {
    StepCounters since = *this;
    since.forward_passes -= before.forward_passes;
    since.rows -= before.rows;
    since.drafts -= before.drafts;
    since.draft_rows -= before.draft_rows;
    since.accepted_drafts -= before.accepted_drafts;
    return since;
  }

  uint64_t forward_passes = 0;      // steps that ran the model
  uint64_t rows = 0;                // of these steps
  uint64_t drafts = 0;              // guessed states that they evaluated
  uint64_t draft_rows = 0;          // of these; counted in rows too
  uint64_t accepted_drafts = 0;     // that came true: each is a pass that a sequence did not need
  CountHistogram steps_per_block;   // denoising steps of every finished block
  CountHistogram reveals_per_step;  // positions that a denoising step of one block revealed
};

}  // namespace sdar
