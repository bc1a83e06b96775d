// SPDX-License-Identifier: Apache-2.0
// How a sequence reads its targets.
#include <algorithm>
#include <utility>

#include "runtime/diffusion/sampler.h"
#include "runtime/schedule/sequence.h"

namespace sdar {

TokenId Sequence::GivenToken(int64_t position) const {
  return position < prompt_length()
             ? request_.prompt[static_cast<size_t>(position)]
             : request_.targets[static_cast<size_t>(position - prompt_length())];
}

int Sequence::StepOf(int64_t target) const {
  return static_cast<int>(target - std::max(BlockStart(target), prompt_length()));
}

ScoringShare Sequence::ShareOf(int64_t rows) const {
  ScoringShare share;
  const int64_t block = block_length();
  rows = std::max<int64_t>(rows, 0);
  for (int64_t target = next_target_; target < request_.num_given(); ++target) {
    const int64_t missing = BlockStart(target) - num_committed_ - share.pending_rows;
    const int64_t pending = std::clamp<int64_t>(missing, 0, rows / block * block);
    share.pending_rows += pending;
    rows -= pending;
    if (pending < missing || rows < block) break;
    ++share.num_targets;
    rows -= block;
  }
  return share;
}

void Sequence::FillState(int64_t index, sdar::v1::Segment& segment) const {
  const int64_t target = next_target_ + index;
  const int64_t begin = BlockStart(target);
  const int64_t block = block_length();
  segment.set_phase(sdar::v1::Segment::DRAFT);
  segment.set_block_length(static_cast<uint32_t>(block));
  segment.set_first_position(static_cast<uint32_t>(begin));
  segment.set_step_index(static_cast<uint32_t>(StepOf(target)));
  for (int64_t position = begin; position < begin + block; ++position) {
    const TokenId id = position < target ? GivenToken(position) : mask_token_;
    segment.add_token_ids(static_cast<uint32_t>(id));
  }
  // Only the target's row gets a summary.
  const auto row = static_cast<size_t>(target - begin);
  std::string masked(row / 8 + 1, '\0');
  masked.back() = static_cast<char>(1 << row % 8);
  segment.set_masked(std::move(masked));
  segment.add_asked_ids(static_cast<uint32_t>(GivenToken(target)));
}

RevealedToken Sequence::Score(int64_t target, const LogitSummary& summary) const {
  const Choice given = ChoiceOf(GivenToken(target), summary.asked_z, summary);
  RevealedToken token;
  token.id = given.id;
  token.logprob = given.logprob;
  token.entropy = given.entropy;
  token.step = StepOf(target);
  token.top = TopOf(summary);
  token.greedy = summary.num_candidates > 0 && summary.candidates[0].id == given.id;
  return token;
}

StepOutcome Sequence::ApplyScores(int64_t pending_rows, absl::Span<const LogitSummary> summaries) {
  num_committed_ += pending_rows;
  StepOutcome outcome;
  if (summaries.empty()) return outcome;
  SequenceUpdate update;
  for (const LogitSummary& summary : summaries) {
    update.tokens.push_back(Score(next_target_++, summary));
  }
  NoteSteps(static_cast<int64_t>(summaries.size()));
  outcome.ended = next_target_ == request_.num_given();
  if (outcome.ended) {
    update.end.emplace();
    update.end->reason = FinishReason::kLength;
    update.end->usage = Usage();
  }
  callback_(std::move(update));
  return outcome;
}

}  // namespace sdar
