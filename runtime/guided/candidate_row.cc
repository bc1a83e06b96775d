// SPDX-License-Identifier: Apache-2.0
#include "runtime/guided/candidate_row.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "runtime/diffusion/sampler.h"
#include "runtime/grammar/tokens/token_bits.h"

namespace sdar {
namespace {

constexpr double kLeastProbability = 1e-30;  // of an id that has to count for something

bool Heavier(const RowCandidate& a, const RowCandidate& b) {
  return a.log_weight != b.log_weight ? a.log_weight > b.log_weight : a.id < b.id;
}

// Those of the whole row that the cuts leave and `may_be_chosen` has.
std::vector<Candidate> Kept(absl::Span<const float> z, absl::Span<const uint64_t> may_be_chosen,
                            const SamplingOptions& options) {
  std::vector<Candidate> kept;
  if (!options.greedy() && options.cuts()) {
    kept = KeptOfLogits(z, options);
    std::erase_if(kept, [&](const Candidate& c) { return !grammar::HasBit(may_be_chosen, c.id); });
    return kept;
  }
  for (size_t i = 0; i < z.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (std::isfinite(z[i]) && grammar::HasBit(may_be_chosen, id)) kept.push_back({id, z[i]});
  }
  return kept;
}

// The largest z + Gumbel, ties to the lower id.
std::optional<Candidate> LargestPerturbed(absl::Span<const Candidate> all, const DrawKey& key) {
  std::optional<Candidate> best;
  float best_value = 0;
  for (const Candidate& c : all) {
    const float value = c.z + Gumbel(key, c.id);
    if (best && (value < best_value || (value == best_value && c.id > best->id))) continue;
    best = c;
    best_value = value;
  }
  return best;
}

}  // namespace

CandidateRow::CandidateRow(const LogitSummary& summary, const SamplingOptions& options,
                           const DrawKey& key, bool only_allowed)
    : cut_(!options.greedy() && options.cuts()), log_sum_(LogSumExp(summary)) {
  bool has_drawn = options.greedy() || options.cuts() || summary.drawn_id == kNoToken;
  for (const Candidate& c : KeptCandidates(summary, options)) {
    Append(c.id, c.z, options, key);
    has_drawn = has_drawn || c.id == summary.drawn_id;
  }
  if (!has_drawn) Append(summary.drawn_id, summary.drawn_z, options, key);
  double all = 1;
  if (only_allowed) {
    all = summary.num_candidates == 0
              ? 0
              : summary.allowed_sum_exp * std::exp(double{summary.candidates[0].z} - log_sum_);
  }
  Finish(all, summary.num_allowed);
  if (!only_allowed) tail_entropy_ = std::max(0.0, Entropy(summary) - OwnEntropy());
}

CandidateRow::CandidateRow(absl::Span<const float> z, absl::Span<const uint64_t> may_be_chosen,
                           const LogitSummary& summary, const SamplingOptions& options,
                           const DrawKey& key)
    : cut_(!options.greedy() && options.cuts()), log_sum_(LogSumExp(summary)), z_(z) {
  std::vector<Candidate> kept = Kept(z, may_be_chosen, options);
  std::optional<Candidate> drawn;
  if (!options.greedy()) drawn = LargestPerturbed(kept, key);
  double all = 0;
  for (const Candidate& c : kept) all += std::exp(double{c.z} - log_sum_);
  const size_t count = std::min(kept.size(), size_t{kMaxCandidates});
  std::partial_sort(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(count), kept.end(),
                    Precedes);
  for (const Candidate& c : absl::MakeConstSpan(kept).subspan(0, count)) {
    Append(c.id, c.z, options, key);
    if (drawn && drawn->id == c.id) drawn.reset();
  }
  if (drawn) Append(drawn->id, drawn->z, options, key);
  Finish(all, static_cast<int64_t>(kept.size()));
}

void CandidateRow::Append(TokenId id, float z, const SamplingOptions& options, const DrawKey& key) {
  const double log_probability = double{z} - log_sum_;
  const float gumbel = options.greedy() ? 0 : Gumbel(key, id);
  candidates_.push_back({id, log_probability, log_probability, std::exp(log_probability), gumbel});
}

// all: the probability of the `num_all` ids that may be chosen.
void CandidateRow::Finish(double all, int64_t num_all) {
  double mass = 0;
  for (const RowCandidate& c : candidates_) mass += c.probability;
  const int64_t others = num_all - static_cast<int64_t>(candidates_.size());
  // What rounding leaves of nothing is nothing.
  tail_ = all - mass > 1e-9 ? all - mass : 0;
  log_tail_each_ =
      std::log(std::max(kLeastProbability, tail_ / std::max(1.0, static_cast<double>(others))));
  tail_entropy_ = -tail_ * log_tail_each_;
  log_mass_ = std::log(std::max(kLeastProbability, mass));
  std::sort(candidates_.begin(), candidates_.end(), Heavier);
}

double CandidateRow::OwnEntropy() const {
  double entropy = 0;
  for (const RowCandidate& c : candidates_) entropy -= c.probability * c.log_weight;
  return entropy;
}

std::optional<double> CandidateRow::LogWeightOf(TokenId id) const {
  for (const RowCandidate& c : candidates_) {
    if (c.id == id) return c.log_weight;
  }
  return std::nullopt;
}

void CandidateRow::Add(TokenId id, const SamplingOptions& options, const DrawKey& key) {
  if (LogWeightOf(id)) return;
  RowCandidate added;
  added.id = id;
  const auto index = static_cast<size_t>(id);
  added.known = index < z_.size() && std::isfinite(z_[index]);
  const double log_probability = added.known ? double{z_[index]} - log_sum_ : log_tail_each_;
  added.log_weight = cut_ ? kCutLogWeight : log_probability;
  added.log_probability = log_probability;
  added.probability = std::exp(log_probability);
  added.gumbel = options.greedy() ? 0 : Gumbel(key, id);
  candidates_.insert(std::upper_bound(candidates_.begin(), candidates_.end(), added, Heavier),
                     added);
}

}  // namespace sdar
