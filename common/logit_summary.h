// SPDX-License-Identifier: Apache-2.0
// The reduction of one position's logits that leaves a device: all that choosing a token needs, in
// under a kilobyte.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "absl/types/span.h"

#include "common/ids.h"

namespace sdar {

inline constexpr int kMaxCandidates = 64;
inline constexpr TokenId kNoToken = -1;

// A token id and its z: the logit after penalties, bias and temperature.
struct Candidate {
  TokenId id = kNoToken;
  float z = -std::numeric_limits<float>::infinity();
};

// The order of candidates: larger z first, ties to the lower id.
inline bool Precedes(const Candidate& a, const Candidate& b) {
  return a.z != b.z ? a.z > b.z : a.id < b.id;
}

// Summary of one row over one vocabulary shard, or over several once merged (docs/design.md,
// section 4). Trivially copyable: it crosses ranks as bytes.
struct LogitSummary {
  // Over all ids of the shard.
  float max = -std::numeric_limits<float>::infinity();
  float asked_z =
      -std::numeric_limits<float>::infinity();  // z of the id that was asked for; -inf elsewhere
  double sum_exp = 0;                           // sum of exp(z - max)
  double sum_weighted = 0;                      // sum of (z - max) exp(z - max)
  // Over the ids that may be chosen.
  double allowed_sum_exp = 0;  // sum of exp(z - candidates[0].z)
  int32_t num_allowed = 0;
  int32_t num_candidates = 0;   // min(num_allowed, kMaxCandidates)
  TokenId drawn_id = kNoToken;  // the largest z + Gumbel; kNoToken when the row draws nothing
  float drawn_z = -std::numeric_limits<float>::infinity();
  float drawn_value = -std::numeric_limits<float>::infinity();  // z + Gumbel of drawn_id
  int32_t unusable_shard = 0;  // 1 + the first merged shard that is not usable; 0: none
  std::array<Candidate, kMaxCandidates>
      candidates;  // the first num_candidates, in the order of Precedes
};
static_assert(std::is_trivially_copyable_v<LogitSummary>);

// Joins the summaries of one row's shards, which must come in rank order: the sums are added in
// that order. Requires: at least one shard.
LogitSummary Merge(absl::Span<const LogitSummary> shards);

// Whether the numbers are finite, as they are unless the weights or what comes of them are not.
bool IsUsable(const LogitSummary& summary);

// ln of the sum of exp(z) over all ids.
double LogSumExp(const LogitSummary& summary);

// Entropy of softmax(z) over all ids, in nats.
double Entropy(const LogitSummary& summary);

}  // namespace sdar
