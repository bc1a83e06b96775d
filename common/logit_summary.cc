// SPDX-License-Identifier: Apache-2.0
#include "common/logit_summary.h"

#include <algorithm>
#include <cmath>

#include "common/status_macros.h"

namespace sdar {
namespace {

// Rescales a sum that was taken relative to `from` so that it is relative to `to`; empty shards
// stay empty.
double Rescale(double sum, float from, float to) {
  return sum == 0 ? 0 : sum * std::exp(double{from} - double{to});
}

void MergeSums(absl::Span<const LogitSummary> shards, LogitSummary& out) {
  for (const LogitSummary& s : shards) {
    out.max = std::max(out.max, s.max);
    out.asked_z = std::max(out.asked_z, s.asked_z);
  }
  for (const LogitSummary& s : shards) {
    if (s.sum_exp == 0) continue;
    const double shift = double{s.max} - double{out.max};
    const double scale = std::exp(shift);
    out.sum_exp += s.sum_exp * scale;
    out.sum_weighted += scale * (s.sum_weighted + shift * s.sum_exp);
  }
}

void MergeCandidates(absl::Span<const LogitSummary> shards, LogitSummary& out) {
  std::array<int, 1024> next{};
  SDAR_CHECK(shards.size() <= next.size());
  while (out.num_candidates < kMaxCandidates) {
    int best = -1;
    for (size_t i = 0; i < shards.size(); ++i) {
      if (next[i] == shards[i].num_candidates) continue;
      const Candidate& c = shards[i].candidates[static_cast<size_t>(next[i])];
      if (best < 0 ||
          Precedes(c, shards[static_cast<size_t>(best)]
                          .candidates[static_cast<size_t>(next[static_cast<size_t>(best)])])) {
        best = static_cast<int>(i);
      }
    }
    if (best < 0) break;
    const auto b = static_cast<size_t>(best);
    out.candidates[static_cast<size_t>(out.num_candidates++)] =
        shards[b].candidates[static_cast<size_t>(next[b]++)];
  }
}

}  // namespace

LogitSummary Merge(absl::Span<const LogitSummary> shards) {
  SDAR_CHECK(!shards.empty());
  if (shards.size() == 1) return shards[0];
  LogitSummary out;
  MergeSums(shards, out);
  MergeCandidates(shards, out);
  for (size_t r = 0; r < shards.size() && out.unusable_shard == 0; ++r) {
    if (!IsUsable(shards[r])) out.unusable_shard = static_cast<int32_t>(r) + 1;
  }
  for (const LogitSummary& s : shards) {
    out.num_allowed += s.num_allowed;
    out.allowed_sum_exp += Rescale(s.allowed_sum_exp, s.candidates[0].z, out.candidates[0].z);
    const bool later = s.drawn_value > out.drawn_value ||
                       (s.drawn_value == out.drawn_value && s.drawn_id < out.drawn_id);
    if (s.drawn_id != kNoToken && (out.drawn_id == kNoToken || later)) {
      out.drawn_id = s.drawn_id;
      out.drawn_z = s.drawn_z;
      out.drawn_value = s.drawn_value;
    }
  }
  return out;
}

bool IsUsable(const LogitSummary& summary) {
  const bool is_empty = summary.sum_exp == 0;  // a shard without ids
  const bool has_candidates = summary.num_allowed <= 0 || summary.num_candidates > 0;
  return summary.unusable_shard == 0 && has_candidates &&
         (is_empty || std::isfinite(summary.max)) && std::isfinite(summary.sum_exp) &&
         std::isfinite(summary.sum_weighted) && std::isfinite(summary.allowed_sum_exp);
}

double LogSumExp(const LogitSummary& summary) {
  return double{summary.max} + std::log(summary.sum_exp);
}

double Entropy(const LogitSummary& summary) {
  return std::log(summary.sum_exp) - summary.sum_weighted / summary.sum_exp;
}

}  // namespace sdar
