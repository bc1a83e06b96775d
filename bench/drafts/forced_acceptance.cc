// SPDX-License-Identifier: Apache-2.0
#include "bench/drafts/forced_acceptance.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "runtime/step/segment_rows.h"

namespace sdar {
namespace {

using sdar::v1::Segment;

uint64_t Hash(std::initializer_list<uint64_t> values) {
  uint64_t state = 0x9E3779B97F4A7C15ull;
  for (uint64_t value : values) {
    state = (state ^ value) * 0xBF58476D1CE4E5B9ull;
    state ^= state >> 31;
  }
  return state;
}

// In [0, 1).
double Uniform(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1p-53; }

}  // namespace

void ForcedAcceptance::NoteTokens(const Segment& segment, Tokens& tokens) const {
  const auto end = segment.first_position() + static_cast<uint32_t>(segment.token_ids_size());
  if (tokens.size() < end) tokens.resize(end);
  for (int row = 0; row < segment.token_ids_size(); ++row) {
    tokens[segment.first_position() + static_cast<uint32_t>(row)] = segment.token_ids(row);
  }
}

// The position's chosen id, with a confidence of its own.
LogitSummary ForcedAcceptance::Summarize(const Tokens& tokens, uint32_t block, uint32_t position,
                                         uint32_t step) const {
  const uint32_t begin = position / block * block;
  uint64_t before = begin;
  for (uint32_t p = std::max(begin, block) - block; p < begin; ++p) {
    before = Hash({before, tokens[p]});
  }
  uint32_t since = step;  // the step of its last change
  while (since > 0 && Uniform(Hash({before, position, since})) < acceptance_) --since;
  const uint64_t chosen = Hash({before, position, since, 1});
  const double confidence = 0.3 + 0.5 * Uniform(Hash({before, position, 2}));
  LogitSummary summary;
  summary.max = 0;
  summary.sum_exp = summary.allowed_sum_exp = 1 / confidence;
  summary.sum_weighted = -0.1;
  summary.num_allowed = num_ids_;
  summary.num_candidates = 2;
  summary.candidates[0] = {static_cast<TokenId>(chosen % static_cast<uint64_t>(num_ids_)), 0};
  summary.candidates[1] = {static_cast<TokenId>((chosen + 1) % static_cast<uint64_t>(num_ids_)),
                           -1};
  return summary;
}

void ForcedAcceptance::Replace(const sdar::v1::StepPlan& plan, absl::Span<LogitSummary> summaries) {
  size_t next = 0;
  for (const Segment& segment : plan.segments()) {
    Tokens& tokens = tokens_[segment.slot()];
    NoteTokens(segment, tokens);
    for (int row = 0; row < segment.token_ids_size(); ++row) {
      if (!IsMaskedRow(segment, row)) continue;
      summaries[next++] =
          Summarize(tokens, segment.block_length(),
                    segment.first_position() + static_cast<uint32_t>(row), segment.step_index());
    }
  }
}

}  // namespace sdar
