// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Span<const Candidate> CandidatesOf(const LogitSummary& summary) {
  return absl::MakeConstSpan(summary.candidates)
      .subspan(0, static_cast<size_t>(summary.num_candidates));
}

// How many of the candidates (in the order of Precedes) are left by top-k, top-p and min-p. total:
// the sum of exp(z - candidates[0].z) over all ids that top-k leaves.
size_t CountKept(absl::Span<const Candidate> candidates, double total, double top_p, double min_p) {
  double preceding = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double mass = std::exp(double{candidates[i].z} - double{candidates[0].z});
    if (preceding > top_p * total || mass < min_p) return i;
    preceding += mass;
  }
  return candidates.size();
}

double SumExp(absl::Span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += std::exp(double{c.z} - double{candidates[0].z});
  }
  return sum;
}

Choice Finish(TokenId id, float z, const LogitSummary& summary) {
  Choice choice;
  choice.id = id;
  choice.logprob = std::min(0.0, double{z} - LogSumExp(summary));
  choice.confidence = RoundForComparison(std::exp(choice.logprob));
  choice.entropy = RoundForComparison(std::max(0.0, Entropy(summary)));
  return choice;
}

// The largest z + Gumbel of the kept candidates, ties to the lowest id.
Choice Draw(absl::Span<const Candidate> kept, const LogitSummary& summary, const DrawKey& key) {
  Candidate best;
  float best_value = 0;
  for (const Candidate& c : kept) {
    const float value = c.z + Gumbel(key, c.id);
    if (best.id == kNoToken || value > best_value || (value == best_value && c.id < best.id)) {
      best = c;
      best_value = value;
    }
  }
  return Finish(best.id, best.z, summary);
}

}  // namespace

double RoundForComparison(double value) { return std::nearbyint(value * 0x1p20) * 0x1p-20; }

bool NeedsAllLogits(const LogitSummary& summary, const SamplingOptions& options) {
  const bool all_known = summary.num_candidates == summary.num_allowed;
  const bool cut_inside = options.top_k > 0 && options.top_k <= kMaxCandidates;
  if (options.greedy() || !options.cuts() || all_known || cut_inside) return false;
  if (options.top_k == 0) {
    return CountKept(CandidatesOf(summary), summary.allowed_sum_exp, options.top_p,
                     options.min_p) == static_cast<size_t>(summary.num_candidates);
  }
  // top_p would renormalise by the mass of top_k > 64 tokens, which the summary does not hold.
  constexpr double kNoTotal = std::numeric_limits<double>::infinity();
  return options.top_p < 1 || CountKept(CandidatesOf(summary), kNoTotal, 1, options.min_p) ==
                                  static_cast<size_t>(summary.num_candidates);
}

Choice Choose(const LogitSummary& summary, const SamplingOptions& options, const DrawKey& key) {
  SDAR_CHECK(summary.num_candidates > 0);
  absl::Span<const Candidate> candidates = CandidatesOf(summary);
  if (options.greedy()) return Finish(candidates[0].id, candidates[0].z, summary);
  if (!options.cuts()) {
    SDAR_CHECK(summary.drawn_id != kNoToken);
    return Finish(summary.drawn_id, summary.drawn_z, summary);
  }
  double total = summary.allowed_sum_exp;
  if (options.top_k > 0 && options.top_k < summary.num_allowed) {
    const auto k = std::min(static_cast<size_t>(options.top_k), candidates.size());
    candidates = candidates.subspan(0, k);
    total = SumExp(candidates);
  }
  return Draw(candidates.subspan(0, CountKept(candidates, total, options.top_p, options.min_p)),
              summary, key);
}

Choice ChooseFromLogits(absl::Span<const float> z, const LogitSummary& summary,
                        const SamplingOptions& options, const DrawKey& key) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < z.size(); ++i) {
    if (std::isinf(z[i])) continue;
    all.push_back({static_cast<TokenId>(i), z[i]});
  }
  std::sort(all.begin(), all.end(), Precedes);
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < all.size()) {
    all.resize(static_cast<size_t>(options.top_k));
  }
  const size_t kept = CountKept(all, SumExp(all), options.top_p, options.min_p);
  return Draw(absl::MakeConstSpan(all).subspan(0, kept), summary, key);
}

}  // namespace sdar
