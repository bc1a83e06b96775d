// SPDX-License-Identifier: Apache-2.0
#include "bench/structure/made_up_summaries.h"

#include <algorithm>
#include <cmath>

#include "absl/types/span.h"

namespace sdar {

LogitSummary MakeUpSummary(TokenId wanted, int64_t vocab_size, const grammar::TokenMask* mask,
                           const DrawKey* key, std::mt19937& random) {
  constexpr double kWanted = 0.8;
  constexpr double kOutside = 0.05;
  constexpr int kTries = 256;  // of ids, which a mask may refuse
  LogitSummary summary;
  const auto add = [&](TokenId id, double probability) {
    if (mask != nullptr && !mask->Has(id)) return;
    const absl::Span<const Candidate> known(summary.candidates.data(),
                                            static_cast<size_t>(summary.num_candidates));
    if (std::any_of(known.begin(), known.end(), [id](const Candidate& c) { return c.id == id; })) {
      return;
    }
    summary.candidates[static_cast<size_t>(summary.num_candidates++)] = {
        id, static_cast<float>(std::log(probability))};
  };
  add(wanted, kWanted);
  const double each = (1 - kWanted - kOutside) / (kMaxCandidates - 1);
  std::uniform_int_distribution<TokenId> any(0, static_cast<TokenId>(vocab_size - 1));
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  for (int i = 0; i < kTries && summary.num_candidates < kMaxCandidates; ++i) {
    add(any(random), each * spread(random));
  }
  for (TokenId id = 0;
       mask != nullptr && id < vocab_size && summary.num_candidates < kMaxCandidates; ++id) {
    if (mask->Has(id)) add(id, each * spread(random));
  }
  std::sort(summary.candidates.begin(), summary.candidates.begin() + summary.num_candidates,
            Precedes);
  summary.max = static_cast<float>(std::log(kWanted));
  summary.sum_exp = 1 / kWanted;
  for (int i = 0; i < summary.num_candidates; ++i) {
    const double z = summary.candidates[static_cast<size_t>(i)].z;
    summary.sum_weighted += (z - summary.max) * std::exp(z - summary.max);
    summary.allowed_sum_exp += std::exp(z - summary.candidates[0].z);
    if (key == nullptr) continue;
    const Candidate& candidate = summary.candidates[static_cast<size_t>(i)];
    const float value = candidate.z + Gumbel(*key, candidate.id);
    if (value <= summary.drawn_value) continue;
    summary.drawn_id = candidate.id;
    summary.drawn_z = candidate.z;
    summary.drawn_value = value;
  }
  const bool all = mask != nullptr && summary.num_candidates < kMaxCandidates;
  summary.num_allowed = all ? summary.num_candidates : static_cast<int32_t>(vocab_size);
  if (!all) summary.allowed_sum_exp += kOutside;
  return summary;
}

}  // namespace sdar
