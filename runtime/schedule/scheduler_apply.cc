// SPDX-License-Identifier: Apache-2.0
// The second half of a step: what its outcome does to the sequences.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "runtime/diffusion/sampler.h"
#include "runtime/schedule/scheduler.h"

namespace sdar {

std::vector<int32_t> Scheduler::RowsToResolve(absl::Span<const LogitSummary> summaries) {
  std::vector<int32_t> rows;
  for (Planned& planned : planned_) {
    if (planned.running == nullptr || planned.running->sequence->scores()) continue;
    const auto own = summaries.subspan(planned.first_summary, planned.num_summaries);
    // Else the sequence ends in Apply.
    if (!std::all_of(own.begin(), own.end(), IsUsable)) continue;
    const SamplingOptions& sampling = planned.running->sequence->request().sampling;
    const size_t before = rows.size();
    for (size_t i = 0; i < own.size(); ++i) {
      if (NeedsAllLogits(own[i], sampling)) {
        rows.push_back(static_cast<int32_t>(planned.first_summary + i));
      }
    }
    const bool guided = planned.running->sequence->guide() != nullptr && !own.empty();
    if (guided) AddUndecided(planned, own, rows);
    if (rows.size() > before) planned.guided.reset();
  }
  return rows;
}

// Rows about to be revealed as a token whose logit nobody knows: no candidate of theirs was valid.
void Scheduler::AddUndecided(Planned& planned, absl::Span<const LogitSummary> own,
                             std::vector<int32_t>& rows) {
  const Sequence& sequence = *planned.running->sequence;
  planned.guided = ChooseGuided(planned, own, {});
  if (!planned.guided) return;
  const std::vector<int> due = sequence.DueOf(*planned.guided);
  const absl::Span<const int> masked = sequence.block().MaskedPositions();
  for (size_t i = 0; i < masked.size(); ++i) {
    const auto row = static_cast<int32_t>(planned.first_summary + i);
    const bool undecided = !planned.guided->known[i] &&
                           std::binary_search(due.begin(), due.end(), masked[i]) &&
                           std::find(rows.begin(), rows.end(), row) == rows.end();
    if (undecided) rows.push_back(row);
  }
}

std::optional<GuidedChoices> Scheduler::ChooseGuided(Planned& planned,
                                                     absl::Span<const LogitSummary> own,
                                                     const ResolvedLogits& resolved) {
  if (planned.guided) return std::exchange(planned.guided, std::nullopt);
  return planned.running->sequence->ChooseGuided(own, [&](size_t masked_index) {
    const auto row = resolved.find(static_cast<int32_t>(planned.first_summary + masked_index));
    return row == resolved.end() ? absl::Span<const float>() : absl::MakeConstSpan(row->second);
  });
}

bool Scheduler::Apply(absl::Span<const LogitSummary> summaries, const ResolvedLogits& resolved) {
  bool more = false;
  for (Planned& planned : planned_) {
    if (planned.running == nullptr) continue;  // also: cancelled while the step ran
    if (ApplyNext(planned, summaries, resolved)) {
      more = true;
    } else {
      planned.running = nullptr;
    }
  }
  return more;
}

// Makes one step of a sequence. True when a draft came true with which it goes on.
bool Scheduler::ApplyNext(Planned& planned, absl::Span<const LogitSummary> summaries,
                          const ResolvedLogits& resolved) {
  Running& running = *planned.running;
  Sequence& sequence = *running.sequence;
  int64_t committed_rows = planned.pending_rows;
  if (planned.at < 0) {
    sequence.NotePass();
    NoteNextBlock(planned, summaries);
  } else {
    const PlannedDraft& draft = planned.drafts[static_cast<size_t>(planned.at)];
    committed_rows = draft.writes ? sequence.block_length() : 0;
  }
  const auto own = summaries.subspan(planned.first_summary, planned.num_summaries);
  if (const absl::Status status = CheckLogits(sequence, own); !status.ok()) {
    Cancel(sequence.id(), status);
    return false;
  }
  const absl::StatusOr<StepOutcome> outcome = ApplyLogits(planned, committed_rows, own, resolved);
  if (!outcome.ok()) {
    Cancel(sequence.id(), outcome.status());
    return false;
  }
  Count(*outcome);
  OfferPages(running);
  if (outcome->ended) {
    deadlines_.erase({sequence.request().deadline, sequence.id()});
    Leave(running);
    return false;
  }
  return FollowDraft(planned);
}

absl::StatusOr<StepOutcome> Scheduler::ApplyLogits(Planned& planned, int64_t committed_rows,
                                                   absl::Span<const LogitSummary> own,
                                                   const ResolvedLogits& resolved) {
  Sequence& sequence = *planned.running->sequence;
  if (sequence.scores()) return sequence.ApplyScores(committed_rows, own);
  if (sequence.guide() == nullptr || own.empty()) {
    ChooseTokens(sequence, own, planned.first_summary, resolved);
    return sequence.Apply(committed_rows, choices_, own);
  }
  const std::optional<GuidedChoices> chosen = ChooseGuided(planned, own, resolved);
  if (!chosen) {
    return absl::InternalError(absl::StrCat("no token that the structure allows was found for the ",
                                            "positions from ", sequence.num_known(), " on"));
  }
  return sequence.ApplyGuided(committed_rows, *chosen, own);
}

// Nothing can be chosen from logits that are not finite; other sequences may have better ones.
absl::Status Scheduler::CheckLogits(const Sequence& sequence,
                                    absl::Span<const LogitSummary> summaries) {
  for (size_t i = 0; i < summaries.size(); ++i) {
    if (IsUsable(summaries[i])) continue;
    const Sequence::LogitPlace place = sequence.PlaceOf(i);
    return absl::InternalError(absl::StrCat(
        "the logits of position ", place.position, " are not finite at step ", place.step,
        " of its block, in the vocabulary of rank ", std::max(0, summaries[i].unusable_shard - 1),
        ": the checkpoint's weights may hold infinite numbers or none"));
  }
  return absl::OkStatus();
}

// What the pass says of the masks after a guessed end of the active block, right or wrong.
void Scheduler::NoteNextBlock(const Planned& planned, absl::Span<const LogitSummary> summaries) {
  for (const PlannedDraft& planned_draft : planned.drafts) {
    const Draft& draft = planned_draft.draft;
    if (!planned_draft.planned || !draft.begins_next_block()) continue;
    const auto own =
        summaries.subspan(planned_draft.first_summary, draft.state.MaskedPositions().size());
    if (std::all_of(own.begin(), own.end(), IsUsable)) {
      planned.running->sequence->NoteNextBlock(own);
    }
    return;
  }
}

// Moves on to the draft that is the state now reached. False when there is none.
bool Scheduler::FollowDraft(Planned& planned) {
  const Sequence& sequence = *planned.running->sequence;
  int next = -1;
  for (size_t i = 0; i < planned.drafts.size(); ++i) {
    const PlannedDraft& candidate = planned.drafts[i];
    if (candidate.draft.parent != planned.at) continue;
    const bool came_true = sequence.IsAt(candidate.draft);
    draft_planner_.Count(sequence, candidate, came_true);
    if (came_true && candidate.planned) next = static_cast<int>(i);
  }
  if (next < 0) return false;
  const PlannedDraft& draft = planned.drafts[static_cast<size_t>(next)];
  planned.at = next;
  planned.first_summary = draft.first_summary;
  planned.num_summaries = draft.draft.state.MaskedPositions().size();
  ++counters_.steps.accepted_drafts;
  return true;
}

void Scheduler::NoteStepTime(absl::Duration time) {
  if (pieces_.empty()) draft_planner_.NoteStep(time);
  prefill_pace_.Note(decode_rows_, pieces_, prompts_waited_, time);
}

void Scheduler::Count(const StepOutcome& outcome) {
  if (outcome.revealed > 0) counters_.steps.reveals_per_step.Add(outcome.revealed);
  if (outcome.block_steps > 0) counters_.steps.steps_per_block.Add(outcome.block_steps);
}

// Fills choices_, one per summary of a sequence's masked positions; the first of them is the step's
// logit row `first`.
void Scheduler::ChooseTokens(const Sequence& sequence, absl::Span<const LogitSummary> summaries,
                             size_t first, const ResolvedLogits& resolved) {
  const SamplingOptions& sampling = sequence.request().sampling;
  const absl::Span<const int> masked = sequence.block().MaskedPositions();
  choices_.clear();
  for (size_t i = 0; i < summaries.size(); ++i) {
    const DrawKey key = sequence.KeyFor(masked[i]);
    const auto whole = resolved.find(static_cast<int32_t>(first + i));
    choices_.push_back(whole == resolved.end()
                           ? Choose(summaries[i], sampling, key)
                           : ChooseFromLogits(whole->second, summaries[i], sampling, key));
  }
}

// Offers the cache the pages that have become full and committed.
void Scheduler::OfferPages(Running& running) {
  const Sequence& sequence = *running.sequence;
  const auto page_size = static_cast<size_t>(config_.page_size);
  const size_t full = static_cast<size_t>(sequence.num_committed()) / page_size;
  while (running.num_offered < full) {
    ++running.num_offered;
    cache_.Offer(sequence.block_length(),
                 sequence.known().subspan(0, running.num_offered * page_size),
                 absl::MakeConstSpan(running.pages).subspan(0, running.num_offered));
  }
}

}  // namespace sdar
