// SPDX-License-Identifier: Apache-2.0
// The half of a sequence that follows a grammar.
#include "runtime/schedule/sequence.h"

namespace sdar {

// Of the active block, or of the next one once these are the active block's tokens.
GuidePlace Sequence::PlaceOfDraft(absl::Span<const TokenId> finished) const {
  if (finished.empty()) return guide_->place();
  return guide_->After(guide_->place(), finished.subspan(static_cast<size_t>(block_.num_given())));
}

std::shared_ptr<const grammar::TokenMask> Sequence::MaskOf(const Draft* draft) const {
  if (!guide_) return nullptr;
  if (draft == nullptr) return guide_->MaskOf(block_, guide_->place());
  return guide_->MaskOf(draft->state, PlaceOfDraft(draft->finished));
}

std::optional<GuidedChoices> Sequence::ChooseGuided(absl::Span<const LogitSummary> summaries,
                                                    Guide::ResolvedRows resolved) const {
  return guide_->Choose(block_, guide_->place(), summaries, request_.sampling, KeyFor(0), resolved);
}

std::vector<int> Sequence::DueOf(const GuidedChoices& chosen) const {
  std::vector<int> due = block_.Due(request_.remasking, chosen.choices);
  guide_->AddForced(block_, chosen, due);
  return due;
}

StepOutcome Sequence::ApplyGuided(int64_t pending_rows, const GuidedChoices& chosen,
                                  absl::Span<const LogitSummary> summaries) {
  num_committed_ += pending_rows;
  std::vector<int> due = block_.Due(request_.remasking, chosen.choices);
  usage_.forced_tokens += guide_->AddForced(block_, chosen, due);
  guide_->Keep(chosen);
  return Take(due, chosen.choices, summaries);
}

std::optional<ForeseenStep> Sequence::ForeseeGuided(
    const BlockState& block, absl::Span<const TokenId> finished,
    absl::Span<const LogitSummary> summaries) const {
  DrawKey key = {request_.sampling.seed, static_cast<uint32_t>(num_known()),
                 static_cast<uint32_t>(block.step())};
  if (!finished.empty()) key.position += static_cast<uint32_t>(block_length());
  const auto unresolved = [](size_t) { return absl::Span<const float>(); };
  const std::optional<GuidedChoices> chosen =
      guide_->Choose(block, PlaceOfDraft(finished), summaries, request_.sampling, key, unresolved);
  if (!chosen) return std::nullopt;
  ForeseenStep step = {block.Due(request_.remasking, chosen->choices), chosen->choices};
  guide_->AddForced(block, *chosen, step.reveals);
  return step;
}

}  // namespace sdar
