// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Span<const Candidate> CandidatesOf(const LogitSummary& summary) {
  return absl::MakeConstSpan(summary.candidates)
      .subspan(0, static_cast<size_t>(summary.num_candidates));
}

// Where top-p and min-p cut a list of candidates that is in the order of Precedes.
struct Cut {
  size_t kept = 0;
  bool inside = false;  // whatever follows the list is cut away as well
};

// total: the sum of exp(z - candidates[0].z) over all ids that top-k leaves.
Cut FindCut(absl::Span<const Candidate> candidates, double total, const SamplingOptions& options) {
  if (options.top_p >= 1 && options.min_p <= 0) return {candidates.size(), false};
  const double limit =
      options.top_p < 1 ? options.top_p * total : std::numeric_limits<double>::infinity();
  double preceding = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double mass = std::exp(double{candidates[i].z} - double{candidates[0].z});
    if (preceding > limit || mass < options.min_p) return {i, true};
    preceding += mass;
  }
  return {candidates.size(), preceding > limit};
}

double SumExp(absl::Span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += std::exp(double{c.z} - double{candidates[0].z});
  }
  return sum;
}

// The largest z + Gumbel of the kept candidates, ties to the lowest id.
Choice Draw(absl::Span<const Candidate> kept, const LogitSummary& summary, const DrawKey& key) {
  Candidate best;
  float best_value = 0;
  for (const Candidate& c : kept) {
    const uint32_t word = DrawWord(key, c.id);
    if (best.id != kNoToken && c.z + GumbelBound(word) < best_value) continue;
    const float value = c.z + GumbelFromWord(word);
    if (best.id == kNoToken || value > best_value || (value == best_value && c.id < best.id)) {
      best = c;
      best_value = value;
    }
  }
  return ChoiceOf(best.id, best.z, summary);
}

}  // namespace

double RoundForComparison(double value) { return std::nearbyint(value * 0x1p20) * 0x1p-20; }

Choice ChoiceOf(TokenId id, float z, const LogitSummary& summary) {
  Choice choice;
  choice.id = id;
  choice.logprob = std::min(0.0, double{z} - LogSumExp(summary));
  choice.confidence = RoundForComparison(std::exp(choice.logprob));
  choice.entropy = RoundForComparison(std::max(0.0, Entropy(summary)));
  return choice;
}

bool NeedsAllLogits(const LogitSummary& summary, const SamplingOptions& options) {
  const bool all_known = summary.num_candidates == summary.num_allowed;
  const bool cut_inside = options.top_k > 0 && options.top_k <= kMaxCandidates;
  if (options.greedy() || !options.cuts() || all_known || cut_inside) return false;
  const absl::Span<const Candidate> candidates = CandidatesOf(summary);
  double least = summary.allowed_sum_exp;
  double most = least;
  if (options.top_k > 0 && options.top_k < summary.num_allowed) {
    // The mass of the ids between the candidates and top_k is not known, but bounded: each weighs
    // at most as much as the last candidate, and all are among the allowed.
    const auto unknown = static_cast<double>(options.top_k - kMaxCandidates);
    const double last = std::exp(double{candidates.back().z} - double{candidates[0].z});
    least = SumExp(candidates);
    most = std::max(least, std::min(summary.allowed_sum_exp, least + unknown * last));
  }
  const Cut early = FindCut(candidates, least, options);
  const Cut late = FindCut(candidates, most, options);
  return !late.inside || early.kept != late.kept;
}

absl::Span<const Candidate> KeptCandidates(const LogitSummary& summary,
                                           const SamplingOptions& options) {
  absl::Span<const Candidate> candidates = CandidatesOf(summary);
  if (options.greedy() || !options.cuts() || candidates.empty()) return candidates;
  double total = summary.allowed_sum_exp;
  if (options.top_k > 0 && options.top_k < summary.num_allowed) {
    const auto k = std::min(static_cast<size_t>(options.top_k), candidates.size());
    candidates = candidates.subspan(0, k);
    if (options.top_p < 1) total = SumExp(candidates);
  }
  return candidates.subspan(0, FindCut(candidates, total, options).kept);
}

Choice Choose(const LogitSummary& summary, const SamplingOptions& options, const DrawKey& key) {
  SDAR_CHECK(summary.num_candidates > 0);
  if (options.greedy()) {
    return ChoiceOf(summary.candidates[0].id, summary.candidates[0].z, summary);
  }
  if (options.cuts()) return Draw(KeptCandidates(summary, options), summary, key);
  SDAR_CHECK(summary.drawn_id != kNoToken);
  return ChoiceOf(summary.drawn_id, summary.drawn_z, summary);
}

std::vector<Choice> ForeseeChoices(const LogitSummary& summary, const SamplingOptions& options,
                                   const DrawKey& key, size_t count) {
  SDAR_CHECK(summary.num_candidates > 0);
  const absl::Span<const Candidate> candidates = CandidatesOf(summary);
  std::vector<Choice> choices;
  if (options.greedy()) {
    for (const Candidate& c : candidates.subspan(0, count)) {
      choices.push_back(ChoiceOf(c.id, c.z, summary));
    }
    return choices;
  }
  absl::Span<const Candidate> kept = candidates;
  if (options.top_k > 0) kept = kept.subspan(0, static_cast<size_t>(options.top_k));
  const double total = options.top_k > 0 ? SumExp(kept) : summary.allowed_sum_exp;
  kept = kept.subspan(0, FindCut(kept, total, options).kept);
  std::vector<std::pair<float, const Candidate*>> perturbed;
  for (const Candidate& c : kept) perturbed.emplace_back(c.z + Gumbel(key, c.id), &c);
  count = std::min(count, perturbed.size());
  std::partial_sort(perturbed.begin(), perturbed.begin() + static_cast<std::ptrdiff_t>(count),
                    perturbed.end(), std::greater<>());
  for (size_t i = 0; i < count; ++i) {
    choices.push_back(ChoiceOf(perturbed[i].second->id, perturbed[i].second->z, summary));
  }
  return choices;
}

std::vector<Candidate> KeptOfLogits(absl::Span<const float> z, const SamplingOptions& options) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < z.size(); ++i) {
    if (!std::isfinite(z[i])) continue;  // forbidden, or NaN, which no order holds
    all.push_back({static_cast<TokenId>(i), z[i]});
  }
  std::sort(all.begin(), all.end(), Precedes);
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < all.size()) {
    all.resize(static_cast<size_t>(options.top_k));
  }
  if (!all.empty()) all.resize(FindCut(all, SumExp(all), options).kept);
  return all;
}

Choice ChooseFromLogits(absl::Span<const float> z, const LogitSummary& summary,
                        const SamplingOptions& options, const DrawKey& key) {
  return Draw(KeptOfLogits(z, options), summary, key);
}

}  // namespace sdar
