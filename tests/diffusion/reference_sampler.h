// SPDX-License-Identifier: Apache-2.0
// The choice of a token by the letter of docs/design.md, section 5, over whole rows in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "common/draw_key.h"
#include "common/logit_summary.h"
#include "runtime/diffusion/decoding_options.h"

namespace sdar {

inline constexpr float kForbidden = -std::numeric_limits<float>::infinity();

// A row of z for the probabilities and the same with -inf where an id may not be chosen.
struct SampledRow {
  std::vector<float> z;
  std::vector<float> allowed;
};

inline SampledRow RandomRow(std::mt19937& random, size_t size, double spread,
                            bool forbids = false) {
  std::normal_distribution<double> normal(0, spread);
  SampledRow row;
  for (size_t i = 0; i < size; ++i) {
    row.z.push_back(static_cast<float>(normal(random)));
    const bool forbidden = forbids && i > 0 && random() % 8 == 0;
    row.allowed.push_back(forbidden ? kForbidden : row.z[i]);
  }
  return row;
}

// The summary a device would give of the row.
inline LogitSummary Summarize(const SampledRow& row, const DrawKey& key) {
  LogitSummary s;
  std::vector<Candidate> allowed;
  s.max = *std::max_element(row.z.begin(), row.z.end());
  for (float z : row.z) {
    const double d = double{z} - double{s.max};
    s.sum_exp += std::exp(d);
    s.sum_weighted += d * std::exp(d);
  }
  for (size_t i = 0; i < row.z.size(); ++i) {
    if (row.allowed[i] == kForbidden) continue;
    const auto id = static_cast<TokenId>(i);
    allowed.push_back({id, row.z[i]});
    const float value = row.z[i] + Gumbel(key, id);
    if (s.drawn_id != kNoToken && value <= s.drawn_value) continue;
    s.drawn_id = id;
    s.drawn_z = row.z[i];
    s.drawn_value = value;
  }
  std::sort(allowed.begin(), allowed.end(), Precedes);
  s.num_allowed = static_cast<int32_t>(allowed.size());
  s.num_candidates = std::min(s.num_allowed, kMaxCandidates);
  std::copy_n(allowed.begin(), s.num_candidates, s.candidates.begin());
  for (const Candidate& c : allowed) {
    s.allowed_sum_exp += std::exp(double{c.z} - double{allowed[0].z});
  }
  return s;
}

// The ids that the cuts leave, by falling probability, and their renormalised probabilities.
struct Truncated {
  std::vector<TokenId> ids;
  std::vector<double> probabilities;
};

inline void Renormalise(Truncated& t) {
  double sum = 0;
  for (double p : t.probabilities) sum += p;
  for (double& p : t.probabilities) p /= sum;
}

inline void Keep(Truncated& t, size_t count) {
  t.ids.resize(count);
  t.probabilities.resize(count);
  Renormalise(t);
}

inline Truncated Truncate(const SampledRow& row, const SamplingOptions& options) {
  std::vector<Candidate> order;
  for (size_t i = 0; i < row.allowed.size(); ++i) {
    if (row.allowed[i] != kForbidden) order.push_back({static_cast<TokenId>(i), row.allowed[i]});
  }
  std::sort(order.begin(), order.end(), Precedes);
  Truncated t;
  for (const Candidate& c : order) {
    t.ids.push_back(c.id);
    t.probabilities.push_back(std::exp(double{c.z} - double{order[0].z}));
  }
  Renormalise(t);
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < t.ids.size()) {
    Keep(t, static_cast<size_t>(options.top_k));
  }
  double preceding = 0;
  size_t kept = 0;
  while (kept < t.ids.size() && (options.top_p >= 1 || preceding <= options.top_p)) {
    preceding += t.probabilities[kept++];
  }
  Keep(t, kept);
  kept = 0;
  while (kept < t.ids.size() && t.probabilities[kept] >= options.min_p * t.probabilities[0]) ++kept;
  Keep(t, kept);
  return t;
}

// The largest z + Gumbel of what is left, or the first where the options are greedy.
inline TokenId ReferenceChoice(const SampledRow& row, const SamplingOptions& options,
                               const DrawKey& key) {
  const Truncated t = Truncate(row, options);
  if (options.greedy()) return t.ids[0];
  TokenId best = kNoToken;
  float best_value = 0;
  for (TokenId id : t.ids) {
    const float value = row.z[static_cast<size_t>(id)] + Gumbel(key, id);
    if (best == kNoToken || value > best_value || (value == best_value && id < best)) {
      best = id;
      best_value = value;
    }
  }
  return best;
}

}  // namespace sdar
