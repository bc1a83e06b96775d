// SPDX-License-Identifier: Apache-2.0
// One sequence's state on rank 0: known tokens, what of them is committed, the active block, and
// its output.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "common/ids.h"
#include "common/steady_time.h"
#include "runtime/diffusion/block_state.h"
#include "runtime/diffusion/drafts.h"
#include "runtime/guided/guide.h"
#include "runtime/request/generation_request.h"
#include "runtime/schedule/output_scanner.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

// Where a sequence stands among the others: the smaller one is served first and gives its pages up
// last.
struct Seniority {
  int urgency = 0;  // minus the priority
  SequenceId arrival;
  friend bool operator<(const Seniority& a, const Seniority& b) {
    return a.urgency != b.urgency ? a.urgency < b.urgency : a.arrival < b.arrival;
  }
};

// What a step does for a sequence that scores.
struct ScoringShare {
  int64_t pending_rows = 0;  // known positions that are committed
  int64_t num_targets = 0;   // that are read, each in a state of its own
};

// What a step did to a sequence.
struct StepOutcome {
  bool ended = false;
  int revealed = 0;     // positions
  int block_steps = 0;  // denoising steps of the block that it finished; 0: none
};

// Whole blocks that are known (of the prompt, then finished ones) come first; the active block
// follows them. Known positions beyond num_committed() wait for their K/V to be written: a prompt
// to prefill and a finished block to commit are the same thing here.
// A sequence that scores knows all its tokens. The blocks before that of its last target are known
// from the beginning, no block is active, and its targets are read from left to right, each in the
// state in which decoding would have revealed it. One thread.
class Sequence {
 public:
  // Requires: a validated request; the tokenizer outlives this.
  Sequence(SequenceId id, GenerationRequest request, UpdateCallback callback,
           const Tokenizer& tokenizer, TokenId mask_token);

  SequenceId id() const { return id_; }
  Seniority seniority() const { return {-request_.priority, id_}; }
  const GenerationRequest& request() const { return request_; }
  int block_length() const { return request_.remasking.block_length; }

  // Known positions whose K/V are not written yet; a multiple of the block length.
  int64_t num_pending() const { return num_known() - num_committed_; }
  int64_t num_committed() const { return num_committed_; }
  int64_t num_known() const { return static_cast<int64_t>(known_.size()); }
  // Tokens of the known positions.
  absl::Span<const TokenId> known() const { return known_; }
  // Of these, those whose K/V it can take from the prefix cache: a target's state sees committed
  // blocks before its own, so what is committed never reaches beyond the next target's block.
  absl::Span<const TokenId> reusable() const;

  // The first sample of the same request, whose prompt's pages this one waits for.
  void Follow(SequenceId leader) { leader_ = leader; }
  std::optional<SequenceId> leader() const { return leader_; }

  // It has a slot. The first time counts.
  void NoteStart(SteadyTime now) { usage_.started = std::min(usage_.started, now); }
  // The K/V of the first `committed` known positions are there already. Requires: none are yet;
  // committed <= reusable().size().
  void SkipCommitted(int64_t committed);
  // The K/V are lost; what was revealed, and the step of the active block, stay.
  void Preempt();
  bool was_preempted() const { return usage_.preemptions > 0; }

  // Fills `segment` with the next `pending_rows` pending rows and, with `denoise`, the active block
  // after them. Requires: denoise only after all that is pending.
  void FillSegment(int64_t pending_rows, bool denoise, sdar::v1::Segment& segment) const;
  // What every rank must know of the slot before its first segment.
  void FillSamplingRecord(sdar::v1::SamplingRecord& record) const;

  // Options and key for choosing the token of a masked position of the active block.
  DrawKey KeyFor(int position) const;
  const BlockState& block() const { return block_; }
  // What leads it through its grammar; null where it has none.
  const Guide* guide() const { return guide_ ? &*guide_ : nullptr; }
  // What the first masked position of the active block, or of a draft's, may become; null:
  // anything.
  std::shared_ptr<const grammar::TokenMask> MaskOf(const Draft* draft) const;
  // Chooses for the masked positions of the active block. Requires: guide().
  std::optional<GuidedChoices> ChooseGuided(absl::Span<const LogitSummary> summaries,
                                            Guide::ResolvedRows resolved) const;
  // The positions of the active block that these choices reveal, ascending. Requires: guide().
  std::vector<int> DueOf(const GuidedChoices& chosen) const;

  // Takes the outcome of the segment that FillSegment made, or of a draft that came true: committed
  // rows, and with `choices` (one per masked position, with their summaries) a denoising step.
  // Reports to the callback.
  StepOutcome Apply(int64_t pending_rows, absl::Span<const Choice> choices,
                    absl::Span<const LogitSummary> summaries);
  // The same by choices of ChooseGuided.
  StepOutcome ApplyGuided(int64_t pending_rows, const GuidedChoices& chosen,
                          absl::Span<const LogitSummary> summaries);
  // A forward pass had rows of it; to be told before its first Apply.
  void NotePass() { ++usage_.forward_passes; }

  // Whether something is known by which drafts of it can be guessed, and it may have them.
  bool CanDraft() const { return request_.drafts != 0 && !forecast_.empty(); }
  // What its drafts are guessed by; valid until the next Apply.
  DraftBasis draft_basis() const;
  // Fills `segment` with a draft of what follows the present state. writes: the K/V of the block
  // that it finishes go into their pages.
  void FillDraft(const Draft& draft, bool writes, sdar::v1::Segment& segment) const;
  // Whether the draft, whose parent was the state before the last Apply, is the present state.
  bool IsAt(const Draft& draft) const;
  // Keeps what a pass said of the masks after a guessed end of the active block, for guesses.
  void NoteNextBlock(absl::Span<const LogitSummary> summaries);

  // Whether it scores: the three that follow are for such sequences only.
  bool scores() const { return request_.scores(); }
  // What a step of at most `rows` rows does for it: prefills no further than the states that it
  // reads need. Something if `rows` >= block_length().
  ScoringShare ShareOf(int64_t rows) const;
  // Fills `segment` with the state of the target that is `index` targets after the next one.
  void FillState(int64_t index, sdar::v1::Segment& segment) const;
  // Takes the outcome of a step's share: committed rows, and the summaries of the targets that were
  // read. Reports to the callback.
  StepOutcome ApplyScores(int64_t pending_rows, absl::Span<const LogitSummary> summaries);

  // The place of a summary, by its index in what the step gave of this sequence.
  struct LogitPlace {
    int64_t position = 0;
    int step = 0;  // of its block
  };
  LogitPlace PlaceOf(size_t summary) const;

  // Reports the end with `status`.
  void Fail(const absl::Status& status);

 private:
  void NoteSteps(int64_t count) {
    usage_.denoising_steps += count;
    if (usage_.first_step == SteadyTime::InfiniteFuture()) usage_.first_step = SteadyTime::Now();
  }
  int64_t prompt_length() const { return static_cast<int64_t>(request_.prompt.size()); }
  int64_t BlockStart(int64_t position) const { return position / block_length() * block_length(); }
  // The token of a position of a sequence that scores.
  TokenId GivenToken(int64_t position) const;
  // The step at which decoding, one position a step, would reveal a target.
  int StepOf(int64_t target) const;
  RevealedToken Score(int64_t target, const LogitSummary& summary) const;
  BlockState NewBlock() const;
  void FillOutputCounts(sdar::v1::SamplingRecord& record) const;
  // Returns the number of positions it revealed.
  int Denoise(absl::Span<const int> reveals, absl::Span<const Choice> choices,
              absl::Span<const LogitSummary> summaries, SequenceUpdate& update);
  StepOutcome Take(absl::Span<const int> reveals, absl::Span<const Choice> choices,
                   absl::Span<const LogitSummary> summaries);
  GuidePlace PlaceOfDraft(absl::Span<const TokenId> finished) const;
  std::optional<ForeseenStep> ForeseeGuided(const BlockState& block,
                                            absl::Span<const TokenId> finished,
                                            absl::Span<const LogitSummary> summaries) const;
  std::vector<TokenLogprob> TopOf(const LogitSummary& summary) const;
  void AddTop(absl::Span<const int> masked, absl::Span<const LogitSummary> summaries);
  void Trace(absl::Span<const int> masked, absl::Span<const Choice> choices,
             absl::Span<const int> revealed, SequenceUpdate& update) const;
  ProvisionalBlock Provisional(absl::Span<const int> masked,
                               absl::Span<const Choice> choices) const;
  void ScanFinalTokens(SequenceUpdate& update);
  void FinishBlock();
  SequenceUsage Usage() const;

  SequenceId id_;
  GenerationRequest request_;
  UpdateCallback callback_;
  TokenId mask_token_;
  OutputScanner scanner_;
  std::vector<TokenId> known_;
  int64_t num_committed_ = 0;
  BlockState block_;
  int num_scanned_;  // positions of the active block that the scanner has seen or that were given
  std::optional<Guide> guide_;
  std::optional<SequenceId> leader_;
  Forecast forecast_;       // of the active block's masked positions; only with drafts
  Forecast next_forecast_;  // of the block after it
  int64_t next_target_;     // position of the first target that is not read yet
  SequenceUsage usage_;     // but for the completion tokens
};

}  // namespace sdar
