// SPDX-License-Identifier: Apache-2.0
// Chooses a position's token from its logit summary. Pure functions; any thread.
#pragma once

#include <vector>

#include "absl/types/span.h"

#include "common/draw_key.h"
#include "common/logit_summary.h"
#include "runtime/diffusion/decoding_options.h"

namespace sdar {

// A token chosen for a masked position.
struct Choice {
  TokenId id = kNoToken;
  double logprob = 0;     // ln P[id] over the whole vocabulary, before any cut
  double confidence = 0;  // P[id], rounded to a multiple of 2^-20
  double entropy = 0;     // of P in nats, rounded to a multiple of 2^-20
};

// Rounds to a multiple of 2^-20, so that saturated values tie instead of being ordered by noise.
double RoundForComparison(double value);

// The choice of `id`, which has this z in the row of the summary. Requires: a merged summary.
Choice ChoiceOf(TokenId id, float z, const LogitSummary& summary);

// True when the cuts reach beyond the summary's candidates, so that the row's whole logits are
// needed.
bool NeedsAllLogits(const LogitSummary& summary, const SamplingOptions& options);

// What the cuts leave of a row's candidates, all of them where nothing is cut; as the cuts leave it
// of the whole row unless NeedsAllLogits. A view of `summary`.
absl::Span<const Candidate> KeptCandidates(const LogitSummary& summary,
                                           const SamplingOptions& options);
// What they leave of the whole row, in the order of Precedes. z as ChooseFromLogits takes it.
std::vector<Candidate> KeptOfLogits(absl::Span<const float> z, const SamplingOptions& options);

// Chooses by the summary alone. Requires: a merged summary with num_allowed > 0 and
// !NeedsAllLogits; where options draw without cuts, a summary that drew with the same key.
Choice Choose(const LogitSummary& summary, const SamplingOptions& options, const DrawKey& key);

// Chooses by the whole row. z: [vocabulary], -inf where an id may not be chosen.
Choice ChooseFromLogits(absl::Span<const float> z, const LogitSummary& summary,
                        const SamplingOptions& options, const DrawKey& key);

// What Choose would likely give if the position's z stayed as they are and the key were `key`: at
// most `count` tokens, the likeliest choice first. A guess, since only the candidates are looked
// at. Requires: a merged summary with num_allowed > 0.
std::vector<Choice> ForeseeChoices(const LogitSummary& summary, const SamplingOptions& options,
                                   const DrawKey& key, size_t count);

}  // namespace sdar
