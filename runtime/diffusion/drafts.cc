// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/drafts.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

#include "common/status_macros.h"
#include "runtime/diffusion/remasking.h"
#include "runtime/diffusion/sampler.h"

namespace sdar {
namespace {

using Indices = absl::InlinedVector<size_t, 16>;  // into the masked positions

// The masked positions in the order in which the strategy takes them.
Indices RevealOrder(RemaskingStrategy strategy, absl::Span<const Choice> choices) {
  Indices order(choices.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (strategy == RemaskingStrategy::kSequential) return order;
  const bool by_entropy = strategy == RemaskingStrategy::kEntropyBounded;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return by_entropy ? choices[a].entropy < choices[b].entropy
                      : choices[a].confidence > choices[b].confidence;
  });
  return order;
}

// A number of positions that varies: then more may be revealed than the rule foresees.
bool RevealsVary(RemaskingStrategy strategy) {
  return strategy == RemaskingStrategy::kLowConfidenceDynamic ||
         strategy == RemaskingStrategy::kEntropyBounded;
}

// What a successor reveals: the choices of some masked positions.
struct Reveals {
  DraftKind kind;
  Indices taken;
  std::vector<Choice> choices;  // one per masked position
};

// Which of `taken` is the least certain.
size_t LeastCertain(const Indices& taken, absl::Span<const Choice> choices) {
  return *std::min_element(taken.begin(), taken.end(), [&](size_t a, size_t b) {
    return choices[a].confidence < choices[b].confidence;
  });
}

// The ways on from a state of which the rule reveals the first `n` of `order`.
std::vector<Reveals> WaysOn(RemaskingStrategy strategy, const Indices& order, size_t n,
                            const std::vector<Choice>& best,
                            const std::vector<std::vector<Choice>>& ranked) {
  const auto first = [&](size_t count) {
    return Indices(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
  };
  std::vector<Reveals> ways = {{DraftKind::kRule, first(n), best}};
  const size_t unsure = LeastCertain(ways[0].taken, best);
  if (ranked[unsure].size() > 1) {
    ways.push_back({DraftKind::kSecondToken, first(n), best});
    ways.back().choices[unsure] = ranked[unsure][1];
  }
  if (n == order.size() || strategy == RemaskingStrategy::kSequential) return ways;
  Indices other = first(n + 1);
  other.erase(other.end() - 2);
  ways.push_back({DraftKind::kOtherPosition, other, best});
  if (!RevealsVary(strategy)) return ways;
  ways.push_back({DraftKind::kOneMore, first(n + 1), best});
  if (n + 1 < order.size()) ways.push_back({DraftKind::kAll, first(order.size()), best});
  return ways;
}

}  // namespace

void Forecast::Set(int block_length, absl::Span<const int> masked,
                   absl::Span<const LogitSummary> of_masked) {
  summaries.assign(static_cast<size_t>(block_length), LogitSummary());
  for (size_t i = 0; i < masked.size(); ++i) {
    summaries[static_cast<size_t>(masked[i])] = of_masked[i];
  }
}

// The choices at every position that the forecast covers, in a step.
const std::vector<DraftPredictor::Ranked>& DraftPredictor::ChoicesAt(bool next_block, int step) {
  std::vector<std::vector<Ranked>>& by_step = choices_[next_block ? 1 : 0];
  if (by_step.size() <= static_cast<size_t>(step)) by_step.resize(static_cast<size_t>(step) + 1);
  std::vector<Ranked>& ranked = by_step[static_cast<size_t>(step)];
  if (!ranked.empty()) return ranked;
  const Forecast& forecast = next_block ? *basis_.next : *basis_.active;
  const int64_t first =
      basis_.first_position + (next_block ? int64_t{basis_.remasking->block_length} : 0);
  for (size_t i = 0; i < forecast.summaries.size(); ++i) {
    const DrawKey key = {basis_.sampling->seed,
                         static_cast<uint32_t>(first + static_cast<int64_t>(i)),
                         static_cast<uint32_t>(step)};
    const LogitSummary& summary = forecast.summaries[i];
    ranked.push_back(
        summary.num_candidates == 0 ? Ranked() : ForeseeChoices(summary, *basis_.sampling, key, 2));
  }
  return ranked;
}

// Moves a draft whose block is finished on to the next block. False when there is none, or nothing
// would be gained.
bool DraftPredictor::Finish(Draft& draft) const {
  if (draft.in_next_block() || basis_.ends_here) return false;
  const absl::Span<const TokenId> tokens = draft.state.token_ids();
  const absl::Span<const TokenId> stop_ids = basis_.stop_ids;
  for (size_t i = static_cast<size_t>(draft.state.num_given()); i < tokens.size(); ++i) {
    const bool may_stop = basis_.first_position + static_cast<int64_t>(i) >= basis_.first_stop;
    if (may_stop && std::binary_search(stop_ids.begin(), stop_ids.end(), tokens[i])) return false;
  }
  draft.finished.assign(tokens.begin(), tokens.end());
  draft.state = BlockState(draft.state.block_length(), {}, basis_.mask_token);
  return true;
}

// The one way on where choices depend on each other.
std::vector<Draft> DraftPredictor::FollowForeseen(const BlockState& state,
                                                  const std::vector<TokenId>& finished,
                                                  int depth) const {
  const Forecast& forecast = *ForecastOf(!finished.empty());
  std::vector<LogitSummary> summaries;
  for (int position : state.MaskedPositions()) {
    summaries.push_back(forecast.summaries[static_cast<size_t>(position)]);
    if (summaries.back().num_candidates == 0) return {};
  }
  const std::optional<ForeseenStep> step = basis_.foresee(state, finished, summaries);
  if (!step) return {};
  Draft draft{state, finished};
  draft.depth = depth;
  draft.foreign = forecast.foreign || !finished.empty();
  draft.certainty = 1;
  const absl::Span<const int> masked = state.MaskedPositions();
  for (size_t i = 0; i < masked.size(); ++i) {
    const bool revealed = std::binary_search(step->reveals.begin(), step->reveals.end(), masked[i]);
    if (revealed) draft.certainty *= step->choices[i].confidence;
  }
  draft.state.Reveal(step->reveals, step->choices);
  if (draft.state.IsDone() && !Finish(draft)) return {};
  return {std::move(draft)};
}

std::vector<Draft> DraftPredictor::Follow(const BlockState& state,
                                          const std::vector<TokenId>& finished, int depth) {
  const bool next_block = !finished.empty();
  const Forecast* forecast = ForecastOf(next_block);
  if (forecast == nullptr || forecast->empty()) return {};
  if (basis_.foresee) return FollowForeseen(state, finished, depth);
  const std::vector<Ranked>& at = ChoicesAt(next_block, state.step());
  std::vector<Ranked> ranked;
  std::vector<Choice> best;
  std::vector<MaskedPosition> masked;
  for (int position : state.MaskedPositions()) {
    ranked.push_back(at[static_cast<size_t>(position)]);
    if (ranked.back().empty()) return {};
    best.push_back(ranked.back()[0]);
    masked.push_back({position, best.back().confidence, best.back().entropy});
  }
  const RemaskingOptions& remasking = *basis_.remasking;
  const size_t n = SelectReveals(remasking, state.step(), masked).size();
  std::vector<Draft> drafts;
  for (Reveals& way :
       WaysOn(remasking.strategy, RevealOrder(remasking.strategy, best), n, best, ranked)) {
    Draft draft{state, finished};
    draft.depth = depth;
    draft.kind = way.kind;
    draft.foreign = forecast->foreign || next_block;
    draft.certainty = 1;
    std::vector<int> reveals;
    for (size_t i : way.taken) {
      reveals.push_back(masked[i].position);
      draft.certainty *= way.choices[i].confidence;
    }
    std::sort(reveals.begin(), reveals.end());
    draft.state.Reveal(reveals, way.choices);
    if (!draft.state.IsDone() || Finish(draft)) drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace sdar
