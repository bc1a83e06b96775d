// SPDX-License-Identifier: Apache-2.0
// How often drafts have come true, by what kind of guess they were.
#pragma once

#include <array>
#include <cstddef>

#include "runtime/diffusion/decoding_options.h"
#include "runtime/diffusion/drafts.h"

namespace sdar {

// Counts, of drafts whose parent came true, those that came true themselves; what is long ago
// weighs less. Before anything is counted it answers with a guess. One thread.
class DraftRates {
 public:
  // The probability that the draft comes true once its parent has.
  double Rate(const Draft& draft, const RemaskingOptions& remasking,
              const SamplingOptions& sampling) const;
  void Count(const Draft& draft, const RemaskingOptions& remasking, const SamplingOptions& sampling,
             bool came_true);

 private:
  static constexpr size_t kDepths = 4;       // the last: this deep and deeper
  static constexpr size_t kCertainties = 4;  // ranges of certainty
  static constexpr size_t kStrategies = 4;
  struct Counts {
    double tried = 0;
    double came_true = 0;
  };

  static size_t IndexOf(const Draft& draft, const RemaskingOptions& remasking,
                        const SamplingOptions& sampling);

  std::array<Counts, 2 * 2 * kStrategies * kDepths * kCertainties * kNumDraftKinds> counts_;
};

}  // namespace sdar
