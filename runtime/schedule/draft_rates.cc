// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/draft_rates.h"

#include <algorithm>

namespace sdar {
namespace {

constexpr double kCertaintyBounds[] = {0.3, 0.6, 0.85};
constexpr double kGuessWeight = 4;  // of the first guess, in drafts
constexpr double kMemory = 512;     // drafts after which the counts are halved

// Before anything is known: the rule's own state is about as likely as its tokens, others are not.
double FirstGuess(const Draft& draft) {
  return draft.kind == DraftKind::kRule ? 0.2 + 0.6 * draft.certainty : 0.1;
}

}  // namespace

size_t DraftRates::IndexOf(const Draft& draft, const RemaskingOptions& remasking,
                           const SamplingOptions& sampling) {
  const auto certainty = static_cast<size_t>(
      std::upper_bound(std::begin(kCertaintyBounds), std::end(kCertaintyBounds), draft.certainty) -
      std::begin(kCertaintyBounds));
  const size_t depth = std::min(static_cast<size_t>(draft.depth), kDepths) - 1;
  size_t index = sampling.greedy() ? 0 : 1;
  index = index * 2 + (draft.foreign ? 1 : 0);
  index = index * kStrategies + static_cast<size_t>(remasking.strategy);
  index = index * kDepths + depth;
  index = index * kCertainties + certainty;
  return index * kNumDraftKinds + static_cast<size_t>(draft.kind);
}

double DraftRates::Rate(const Draft& draft, const RemaskingOptions& remasking,
                        const SamplingOptions& sampling) const {
  const Counts& counts = counts_[IndexOf(draft, remasking, sampling)];
  return (counts.came_true + kGuessWeight * FirstGuess(draft)) / (counts.tried + kGuessWeight);
}

void DraftRates::Count(const Draft& draft, const RemaskingOptions& remasking,
                       const SamplingOptions& sampling, bool came_true) {
  Counts& counts = counts_[IndexOf(draft, remasking, sampling)];
  if (counts.tried >= kMemory) {
    counts.tried /= 2;
    counts.came_true /= 2;
  }
  counts.tried += 1;
  counts.came_true += came_true ? 1 : 0;
}

}  // namespace sdar
