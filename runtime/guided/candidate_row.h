// SPDX-License-Identifier: Apache-2.0
// What a masked position may become where a grammar decides over the whole block: its likeliest
// tokens with their weights, and how much probability lies outside them.
#pragma once

#include <optional>
#include <vector>

#include "absl/types/span.h"

#include "common/draw_key.h"
#include "common/logit_summary.h"
#include "runtime/diffusion/decoding_options.h"

namespace sdar {

// The weight of a token that the cuts have taken away: it is chosen only where nothing else is
// valid. A natural logarithm, far below that of any product of probabilities.
inline constexpr double kCutLogWeight = -1e6;

struct RowCandidate {
  TokenId id = kNoToken;
  double log_weight = 0;       // ln of what it counts in the choice of a filling
  double log_probability = 0;  // ln P[id] over the whole vocabulary, before any cut
  double probability = 0;      // P[id]
  float gumbel = 0;            // its draw; 0 where nothing is drawn
  bool known = true;           // false: its z is not known, and the probability is an average
};

// Candidates by falling weight, ties to the lower id.
class CandidateRow {
 public:
  // From a summary: the candidates that the cuts leave, and the id that was drawn. only_allowed:
  // the row was summarised under a mask, so what is allowed counts as all that there is. Requires:
  // a merged summary.
  CandidateRow(const LogitSummary& summary, const SamplingOptions& options, const DrawKey& key,
               bool only_allowed);
  // From the whole row: of what the cuts leave, the kMaxCandidates likeliest that `may_be_chosen`
  // has (id t: bit t % 64 of word t / 64), and the largest perturbed one of them. z as
  // ChooseFromLogits takes it, and outlives this; `summary` is of the same row.
  CandidateRow(absl::Span<const float> z, absl::Span<const uint64_t> may_be_chosen,
               const LogitSummary& summary, const SamplingOptions& options, const DrawKey& key);

  // Adds an id that must not be missing, if it is.
  void Add(TokenId id, const SamplingOptions& options, const DrawKey& key);

  absl::Span<const RowCandidate> candidates() const { return candidates_; }
  // What an id counts; absent for one that is no candidate.
  std::optional<double> LogWeightOf(TokenId id) const;
  // ln of the largest weight, and of the sum of the candidates' probabilities.
  double best() const { return candidates_.empty() ? kCutLogWeight : candidates_[0].log_weight; }
  double log_mass() const { return log_mass_; }
  // The probability of what is no candidate, and its part -sum of P ln P of the entropy.
  double tail() const { return tail_; }
  double tail_entropy() const { return tail_entropy_; }

 private:
  void Append(TokenId id, float z, const SamplingOptions& options, const DrawKey& key);
  double OwnEntropy() const;
  void Finish(double all, int64_t num_all);

  std::vector<RowCandidate> candidates_;
  double log_mass_ = 0;
  double tail_ = 0;
  double tail_entropy_ = 0;
  double log_tail_each_ = 0;   // ln of the average probability of an id that is no candidate
  bool cut_ = false;           // what is no candidate was taken away
  double log_sum_ = 0;         // ln of the sum of exp(z) over the vocabulary
  absl::Span<const float> z_;  // of the whole row, where it is known
};

}  // namespace sdar
