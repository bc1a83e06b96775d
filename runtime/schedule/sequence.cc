// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/sequence.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/container/inlined_vector.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// The blocks that are known from the beginning.
std::vector<TokenId> KnownBlocks(const GenerationRequest& request) {
  const auto b = static_cast<size_t>(request.remasking.block_length);
  std::vector<TokenId> known = request.prompt;
  // The block of the last target need not be committed.
  known.insert(known.end(), request.targets.begin(), request.targets.end());
  known.resize((request.scores() ? known.size() - 1 : known.size()) / b * b);
  return known;
}

// Appends a block's rows to those that the segment has, none of which is masked.
void AddBlockRows(const BlockState& block, sdar::v1::Segment& segment) {
  const auto before = static_cast<size_t>(segment.token_ids_size());
  std::string masked((before + static_cast<size_t>(block.block_length()) + 7) / 8, '\0');
  for (int i = 0; i < block.block_length(); ++i) {
    segment.add_token_ids(static_cast<uint32_t>(block.token_ids()[static_cast<size_t>(i)]));
    const size_t row = before + static_cast<size_t>(i);
    if (block.IsMasked(i)) masked[row / 8] = static_cast<char>(masked[row / 8] | 1 << row % 8);
  }
  segment.set_masked(std::move(masked));
}

}  // namespace

Sequence::Sequence(SequenceId id, GenerationRequest request, UpdateCallback callback,
                   const Tokenizer& tokenizer, TokenId mask_token)
    : id_(id),
      request_(std::move(request)),
      callback_(std::move(callback)),
      mask_token_(mask_token),
      scanner_(tokenizer, request_.stopping, request_.skip_special_tokens),
      known_(KnownBlocks(request_)),
      block_(NewBlock()),
      num_scanned_(block_.num_given()),
      next_target_(prompt_length()) {
  usage_.prompt_tokens = prompt_length();
  if (request_.grammar != nullptr) guide_.emplace(request_.grammar, request_.stopping.max_tokens);
}

absl::Span<const TokenId> Sequence::reusable() const {
  return scores() ? known().subspan(0, static_cast<size_t>(BlockStart(next_target_))) : known();
}

void Sequence::SkipCommitted(int64_t committed) {
  SDAR_CHECK(num_committed_ == 0 && committed <= static_cast<int64_t>(reusable().size()));
  num_committed_ = committed;
  if (usage_.preemptions == 0) usage_.cached_tokens = committed;
}

void Sequence::Preempt() {
  num_committed_ = 0;
  ++usage_.preemptions;
}

// The block after the known ones: opened by the prompt's remainder where there is one.
BlockState Sequence::NewBlock() const {
  absl::Span<const TokenId> given;
  if (num_known() < prompt_length()) {
    given = absl::MakeConstSpan(request_.prompt).subspan(known_.size());
  }
  return BlockState(block_length(), given, mask_token_);
}

void Sequence::FillSegment(int64_t pending_rows, bool denoise, sdar::v1::Segment& segment) const {
  SDAR_CHECK(pending_rows <= num_pending() && (!denoise || pending_rows == num_pending()));
  using sdar::v1::Segment;
  const bool of_prompt = scores() || num_committed_ + pending_rows <= prompt_length();
  segment.set_phase(denoise ? (pending_rows > 0 ? Segment::FUSED : Segment::DENOISE)
                            : (of_prompt ? Segment::PREFILL : Segment::COMMIT));
  segment.set_block_length(static_cast<uint32_t>(block_length()));
  segment.set_first_position(static_cast<uint32_t>(num_committed_));
  for (int64_t i = 0; i < pending_rows; ++i) {
    segment.add_token_ids(static_cast<uint32_t>(known_[static_cast<size_t>(num_committed_ + i)]));
  }
  if (!denoise) return;
  segment.set_step_index(static_cast<uint32_t>(block_.step()));
  AddBlockRows(block_, segment);
}

DraftBasis Sequence::draft_basis() const {
  DraftBasis basis;
  basis.remasking = &request_.remasking;
  basis.sampling = &request_.sampling;
  basis.active = &forecast_;
  basis.next = &next_forecast_;
  basis.first_position = num_known();
  basis.mask_token = mask_token_;
  basis.ends_here = num_known() + block_length() >= prompt_length() + request_.stopping.max_tokens;
  basis.stop_ids = request_.stopping.stop_ids;
  basis.first_stop = prompt_length() + request_.stopping.min_tokens;
  if (guide_) {
    basis.foresee = [this](const BlockState& block, absl::Span<const TokenId> finished,
                           absl::Span<const LogitSummary> summaries) {
      return ForeseeGuided(block, finished, summaries);
    };
  }
  return basis;
}

void Sequence::FillDraft(const Draft& draft, bool writes, sdar::v1::Segment& segment) const {
  const bool after_finished = draft.in_next_block() && !draft.begins_next_block();
  segment.set_phase(sdar::v1::Segment::DRAFT);
  segment.set_block_length(static_cast<uint32_t>(block_length()));
  segment.set_first_position(
      static_cast<uint32_t>(num_known() + (after_finished ? block_length() : 0)));
  segment.set_step_index(static_cast<uint32_t>(draft.state.step()));
  if (draft.begins_next_block()) {
    for (TokenId id : draft.finished) segment.add_token_ids(static_cast<uint32_t>(id));
    if (writes) segment.set_tentative_rows(static_cast<uint32_t>(block_length()));
  }
  AddBlockRows(draft.state, segment);
}

bool Sequence::IsAt(const Draft& draft) const {
  if (!block_.SameState(draft.state)) return false;
  // A draft of the next block follows one that was true, or ends the block that was active.
  return !draft.in_next_block() ||
         std::equal(draft.finished.begin(), draft.finished.end(),
                    known_.end() - static_cast<std::ptrdiff_t>(draft.finished.size()));
}

void Sequence::NoteNextBlock(absl::Span<const LogitSummary> summaries) {
  next_forecast_.Set(block_length(), BlockState(block_length(), {}, mask_token_).MaskedPositions(),
                     summaries);
  next_forecast_.foreign = true;
}

void Sequence::FillSamplingRecord(sdar::v1::SamplingRecord& record) const {
  if (scores()) {
    // Temperature 1, no penalties. Nothing is output, so the ranks count no tokens.
    record.set_prompt_length(static_cast<uint32_t>(request_.num_given()));
    return;
  }
  const SamplingOptions& sampling = request_.sampling;
  record.set_temperature(static_cast<float>(sampling.temperature));
  record.set_draws(!sampling.greedy() && !sampling.cuts());
  record.set_seed(sampling.seed);
  record.set_repetition_penalty(static_cast<float>(sampling.repetition_penalty));
  record.set_presence_penalty(static_cast<float>(sampling.presence_penalty));
  record.set_frequency_penalty(static_cast<float>(sampling.frequency_penalty));
  for (const auto& [id, bias] : sampling.logit_bias) {
    auto* entry = record.add_bias();
    entry->set_id(static_cast<uint32_t>(id));
    entry->set_bias(bias);
  }
  record.set_prompt_length(static_cast<uint32_t>(prompt_length()));
  record.set_min_tokens(static_cast<uint32_t>(request_.stopping.min_tokens));
  for (TokenId id : request_.stopping.stop_ids) record.add_stop_ids(static_cast<uint32_t>(id));
  if (sampling.penalizes()) FillOutputCounts(record);
  if (sampling.repetition_penalty == 1) return;
  for (TokenId id : std::set<TokenId>(request_.prompt.begin(), request_.prompt.end())) {
    record.add_prompt_ids(static_cast<uint32_t>(id));
  }
}

// Of output whose K/V the slot starts with: the ranks count what is committed later themselves.
void Sequence::FillOutputCounts(sdar::v1::SamplingRecord& record) const {
  std::map<TokenId, uint32_t> counts;
  for (int64_t i = prompt_length(); i < num_committed_; ++i)
    ++counts[known_[static_cast<size_t>(i)]];
  for (const auto& [id, count] : counts) {
    auto* entry = record.add_output_counts();
    entry->set_id(static_cast<uint32_t>(id));
    entry->set_count(count);
  }
}

DrawKey Sequence::KeyFor(int position) const {
  return {request_.sampling.seed, static_cast<uint32_t>(num_known() + position),
          static_cast<uint32_t>(block_.step())};
}

StepOutcome Sequence::Apply(int64_t pending_rows, absl::Span<const Choice> choices,
                            absl::Span<const LogitSummary> summaries) {
  num_committed_ += pending_rows;
  return choices.empty() ? StepOutcome()
                         : Take(block_.Due(request_.remasking, choices), choices, summaries);
}

StepOutcome Sequence::Take(absl::Span<const int> reveals, absl::Span<const Choice> choices,
                           absl::Span<const LogitSummary> summaries) {
  StepOutcome outcome;
  SequenceUpdate update;
  outcome.revealed = Denoise(reveals, choices, summaries, update);
  if (block_.IsDone()) {
    outcome.block_steps = block_.step();
    if (scanner_.ended()) {
      update.end = scanner_.End();
      update.end->usage = Usage();
    } else {
      FinishBlock();
    }
  }
  outcome.ended = update.end.has_value();
  const bool news = outcome.ended || !update.text.empty() || !update.tokens.empty() ||
                    !update.trace.empty() || update.provisional;
  if (news) callback_(std::move(update));
  return outcome;
}

// Moves on to the next block.
void Sequence::FinishBlock() {
  if (guide_)
    guide_->FinishBlock(block_.token_ids().subspan(static_cast<size_t>(block_.num_given())));
  known_.insert(known_.end(), block_.token_ids().begin(), block_.token_ids().end());
  block_ = NewBlock();
  num_scanned_ = block_.num_given();
  forecast_ = std::exchange(next_forecast_, {});
  forecast_.foreign = true;
}

int Sequence::Denoise(absl::Span<const int> reveals, absl::Span<const Choice> choices,
                      absl::Span<const LogitSummary> summaries, SequenceUpdate& update) {
  NoteSteps(1);
  const absl::Span<const int> before = block_.MaskedPositions();
  const absl::InlinedVector<int, 16> masked(before.begin(), before.end());
  block_.Reveal(reveals, choices);
  if (request_.drafts != 0) {
    forecast_.Set(block_length(), masked, summaries);
    forecast_.foreign = false;
  }
  if (request_.top_logprobs > 0) AddTop(masked, summaries);
  if (request_.trace) Trace(masked, choices, reveals, update);
  if (request_.provisional) update.provisional = Provisional(masked, choices);
  ScanFinalTokens(update);
  return static_cast<int>(reveals.size());
}

std::vector<TokenLogprob> Sequence::TopOf(const LogitSummary& summary) const {
  const int count = std::min(request_.top_logprobs, summary.num_candidates);
  std::vector<TokenLogprob> top;
  for (int c = 0; c < count; ++c) {
    const Candidate& candidate = summary.candidates[static_cast<size_t>(c)];
    top.push_back({candidate.id, std::min(0.0, double{candidate.z} - LogSumExp(summary))});
  }
  return top;
}

void Sequence::AddTop(absl::Span<const int> masked, absl::Span<const LogitSummary> summaries) {
  for (size_t i = 0; i < masked.size(); ++i) {
    if (!block_.IsMasked(masked[i])) block_.SetTop(masked[i], TopOf(summaries[i]));
  }
}

void Sequence::Trace(absl::Span<const int> masked, absl::Span<const Choice> choices,
                     absl::Span<const int> revealed, SequenceUpdate& update) const {
  TraceStep& trace = update.trace.emplace_back();
  trace.block = num_known() / block_length();
  trace.step = block_.step() - 1;
  trace.masked.assign(masked.begin(), masked.end());
  for (const Choice& choice : choices) {
    trace.confidence.push_back(choice.confidence);
    trace.candidates.push_back(choice.id);
  }
  trace.revealed.assign(revealed.begin(), revealed.end());
  for (int position : revealed) trace.tokens.push_back(block_.token(position).id);
}

ProvisionalBlock Sequence::Provisional(absl::Span<const int> masked,
                                       absl::Span<const Choice> choices) const {
  ProvisionalBlock out;
  out.block = num_known() / block_length();
  out.step = block_.step() - 1;
  for (int i = 0; i < block_length(); ++i) {
    out.positions.push_back({block_.IsMasked(i), i < block_.num_given(), block_.token(i).id, 1});
  }
  for (size_t i = 0; i < masked.size(); ++i) {
    ProvisionalBlock::Position& position = out.positions[static_cast<size_t>(masked[i])];
    position.id = choices[i].id;
    position.confidence = choices[i].confidence;
  }
  return out;
}

Sequence::LogitPlace Sequence::PlaceOf(size_t summary) const {
  if (scores()) {
    const int64_t target = next_target_ + static_cast<int64_t>(summary);
    return {target, StepOf(target)};
  }
  return {num_known() + block_.MaskedPositions()[summary], block_.step()};
}

void Sequence::ScanFinalTokens(SequenceUpdate& update) {
  const int final_prefix = block_.FinalPrefix();
  while (num_scanned_ < final_prefix && !scanner_.ended()) {
    scanner_.Push(block_.token(num_scanned_++), update);
  }
}

void Sequence::Fail(const absl::Status& status) {
  SequenceUpdate update;
  update.end.emplace();
  update.end->status = status;
  update.end->usage = Usage();
  callback_(std::move(update));
}

SequenceUsage Sequence::Usage() const {
  SequenceUsage usage = usage_;
  usage.completion_tokens = scores() ? next_target_ - prompt_length() : scanner_.num_tokens();
  return usage;
}

}  // namespace sdar
