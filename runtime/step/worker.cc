// SPDX-License-Identifier: Apache-2.0
#include "runtime/step/worker.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/step/segment_rows.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using sdar::v1::StepPlan;

// Rows of the segment that become committed.
int NumCommitted(const Segment& segment) {
  switch (segment.phase()) {
    case Segment::PREFILL:
    case Segment::COMMIT:
      return segment.token_ids_size();
    case Segment::FUSED:
      return segment.token_ids_size() - static_cast<int>(segment.block_length());
    default:
      return 0;
  }
}

// Rows of the segment whose K/V are written.
int NumWritten(const Segment& segment) {
  return NumCommitted(segment) + static_cast<int>(segment.tentative_rows());
}

bool Repeats(const sdar::v1::SamplingRecord& sampling) {
  return sampling.repetition_penalty() != 1 && sampling.repetition_penalty() != 0;
}

bool Penalizes(const sdar::v1::SamplingRecord& sampling) {
  return Repeats(sampling) || sampling.presence_penalty() != 0 || sampling.frequency_penalty() != 0;
}

template <typename... Parts>
absl::Status BadPlan(const Parts&... parts) {
  return absl::InternalError(absl::StrCat("step plan: ", parts...));
}

}  // namespace

Worker::Worker(SdarModel& model, int max_sequences)
    : model_(model), slots_(static_cast<size_t>(max_sequences)) {}

absl::Status Worker::CheckHeader(const StepPlan& plan) const {
  if (plan.version() != kStepPlanVersion) {
    return BadPlan("expected version ", kStepPlanVersion, ", got ", plan.version());
  }
  if (plan.step_id() != next_step_) {
    return BadPlan("expected step ", next_step_, ", got ", plan.step_id());
  }
  for (uint32_t slot : plan.released_slots()) {
    if (slot >= slots_.size() || !slots_[slot].in_use) {
      return BadPlan("releases slot ", slot, ", which is not in use");
    }
  }
  for (const auto& range : plan.forbidden()) {
    if (range.begin() > range.end() || range.end() > model_.config().vocab_size) {
      return BadPlan("forbidden ids ", range.begin(), " .. ", range.end());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<StepResult> Worker::Execute(const StepPlan& plan) {
  SDAR_RETURN_IF_ERROR(CheckHeader(plan));
  ++next_step_;
  for (uint32_t slot : plan.released_slots()) slots_[slot] = Slot();
  if (plan.forbidden_size() > 0) {
    forbidden_.clear();
    for (const auto& range : plan.forbidden()) {
      for (uint32_t id = range.begin(); id < range.end(); ++id) {
        forbidden_.push_back(static_cast<TokenId>(id));
      }
    }
  }
  switch (plan.kind()) {
    case StepPlan::FORWARD:
      return Forward(plan);
    case StepPlan::RESOLVE:
      return Resolve(plan);
    case StepPlan::IDLE:
    case StepPlan::SHUTDOWN:
      return StepResult();
    default:
      return BadPlan("unknown kind ", plan.kind());
  }
}

absl::Status Worker::CheckSegment(const Segment& segment) const {
  const auto rows = static_cast<int64_t>(segment.token_ids_size());
  const auto block = static_cast<int64_t>(segment.block_length());
  const auto first = static_cast<int64_t>(segment.first_position());
  if (segment.slot() >= slots_.size()) {
    return BadPlan("expected slots below ", slots_.size(), ", got ", segment.slot());
  }
  const Slot& slot = slots_[segment.slot()];
  if (!slot.in_use && !segment.has_sampling()) {
    return BadPlan("slot ", segment.slot(), " has no sampling record");
  }
  if (rows == 0 || block == 0 || block > kMaxBlockLength || first % block != 0) {
    return BadPlan("segment of ", rows, " rows at position ", first, " with block length ", block);
  }
  if (segment.phase() < Segment::PREFILL || segment.phase() > Segment::DRAFT ||
      (segment.phase() == Segment::FUSED && rows < block)) {
    return BadPlan("phase ", segment.phase(), " with ", rows, " rows");
  }
  SDAR_RETURN_IF_ERROR(CheckPlace(slot, segment));
  const KvCacheConfig& cache = model_.options().kv_cache;
  const auto pages = static_cast<int64_t>(slot.pages.size()) + segment.new_pages_size();
  if (first + NumWritten(segment) > pages * cache.page_size) {
    return BadPlan("slot ", segment.slot(), " has ", pages, " pages for position ",
                   first + NumWritten(segment));
  }
  for (uint32_t page : segment.new_pages()) {
    if (page >= cache.num_pages) return BadPlan("page ", page, " of ", cache.num_pages);
  }
  if (segment.mask() > masks_.size() ||
      (segment.mask() > 0 && masks_[segment.mask() - 1].empty())) {
    return BadPlan("mask ", segment.mask() - 1, ", which no plan has brought");
  }
  for (uint32_t id : segment.token_ids()) {
    if (id >= model_.config().vocab_size) return BadPlan("token id ", id);
  }
  return absl::OkStatus();
}

// A segment continues what is committed, or what a draft wrote after that. A draft that writes
// nothing may also start earlier; penalties would count what it does not see.
absl::Status Worker::CheckPlace(const Slot& slot, const Segment& segment) const {
  const bool draft = segment.phase() == Segment::DRAFT;
  if (segment.tentative_rows() > (draft ? segment.block_length() : 0) ||
      static_cast<int>(segment.tentative_rows()) > segment.token_ids_size()) {
    return BadPlan("phase ", segment.phase(), " with ", segment.tentative_rows(),
                   " tentative rows");
  }
  if (segment.has_sampling()) return absl::OkStatus();
  const auto first = static_cast<int64_t>(segment.first_position());
  const int64_t after_drafts = slot.num_committed + static_cast<int64_t>(slot.tentative.size());
  if (first == slot.num_committed || first == after_drafts) return absl::OkStatus();
  const bool may_start_earlier =
      draft && segment.tentative_rows() == 0 && !Penalizes(slot.sampling);
  if (may_start_earlier && first < slot.num_committed) return absl::OkStatus();
  return BadPlan("slot ", segment.slot(), " goes on at position ", slot.num_committed, " or ",
                 after_drafts, ", got ", first);
}

absl::StatusOr<StepResult> Worker::Forward(const StepPlan& plan) {
  SDAR_RETURN_IF_ERROR(TakeMasks(plan));
  StepRows rows;
  rows.forbidden = forbidden_;
  std::vector<SegmentPenalties> penalties;
  penalties.reserve(static_cast<size_t>(plan.segments_size()));
  for (const Segment& segment : plan.segments()) {
    SDAR_RETURN_IF_ERROR(CheckSegment(segment));
    UpdateSlot(segment);
    penalties.push_back(PenaltiesFor(segment));
    AppendRows(segment, penalties.back(), rows);
  }
  const auto num_rows = static_cast<int64_t>(rows.token_ids.size());
  if (num_rows == 0 || num_rows > model_.options().max_rows) {
    return BadPlan("expected 1 .. ", model_.options().max_rows, " rows, got ", num_rows);
  }
  StepResult result;
  SDAR_ASSIGN_OR_RETURN(result.summaries, model_.Forward(rows));
  last_logit_rows_ = static_cast<int32_t>(result.summaries.size());
  return result;
}

absl::Status Worker::TakeMasks(const StepPlan& plan) {
  const auto vocab = static_cast<size_t>(model_.config().vocab_size);
  for (const sdar::v1::TokenMask& mask : plan.masks()) {
    if (mask.index() >= kMaxTokenMasks || mask.bits().size() > (vocab + 7) / 8) {
      return BadPlan("mask ", mask.index(), " of ", kMaxTokenMasks, " with ", mask.bits().size(),
                     " bytes for ", vocab, " ids");
    }
    if (masks_.size() <= mask.index()) masks_.resize(mask.index() + 1);
    std::vector<uint64_t>& words = masks_[mask.index()];
    words.assign((vocab + 63) / 64, 0);
    for (size_t i = 0; i < mask.bits().size(); ++i) {
      words[i / 8] |= uint64_t{static_cast<uint8_t>(mask.bits()[i])} << i % 8 * 8;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<StepResult> Worker::Resolve(const StepPlan& plan) {
  std::vector<int32_t> rows;
  for (uint32_t row : plan.resolve_rows()) {
    if (row >= static_cast<uint32_t>(last_logit_rows_)) {
      return BadPlan("resolves row ", row, " of ", last_logit_rows_);
    }
    rows.push_back(static_cast<int32_t>(row));
  }
  StepResult result;
  SDAR_ASSIGN_OR_RETURN(result.logits, model_.GatherLogits(rows));
  return result;
}

void Worker::UpdateSlot(const Segment& segment) {
  Slot& slot = slots_[segment.slot()];
  for (uint32_t page : segment.new_pages()) slot.pages.push_back(static_cast<int32_t>(page));
  if (segment.has_sampling()) {
    UpdateSampling(segment.sampling(), slot);
    slot.num_committed = segment.first_position();
    slot.tentative.clear();
  }
  slot.in_use = true;
  const auto tokens = segment.token_ids().begin();
  if (segment.phase() == Segment::DRAFT) {
    if (segment.tentative_rows() > 0) {
      slot.tentative.assign(tokens, tokens + static_cast<int>(segment.tentative_rows()));
    }
    return;
  }
  if (segment.first_position() != slot.num_committed)
    Commit(std::exchange(slot.tentative, {}), slot);
  slot.tentative.clear();
  const std::vector<TokenId> committed(tokens, tokens + NumCommitted(segment));
  Commit(committed, slot);
}

void Worker::UpdateSampling(const sdar::v1::SamplingRecord& record, Slot& slot) {
  slot.sampling = record;
  slot.stop_ids.assign(record.stop_ids().begin(), record.stop_ids().end());
  slot.prompt_ids.assign(record.prompt_ids().begin(), record.prompt_ids().end());
  slot.bias.clear();
  for (const auto& entry : record.bias()) {
    slot.bias.emplace_back(static_cast<TokenId>(entry.id()), entry.bias());
  }
  slot.output_counts.clear();
  for (const auto& entry : record.output_counts()) {
    slot.output_counts[static_cast<TokenId>(entry.id())] = static_cast<int32_t>(entry.count());
  }
}

// Counts tokens that have become committed.
void Worker::Commit(absl::Span<const TokenId> tokens, Slot& slot) {
  for (TokenId id : tokens) {
    if (slot.num_committed++ >= int64_t{slot.sampling.prompt_length()}) ++slot.output_counts[id];
  }
}

// Counts of the output before the segment and of what the segment's own rows have revealed.
Worker::SegmentPenalties Worker::PenaltiesFor(const Segment& segment) const {
  const Slot& slot = slots_[segment.slot()];
  const sdar::v1::SamplingRecord& sampling = slot.sampling;
  SegmentPenalties penalties;
  if (!Penalizes(sampling)) return penalties;
  absl::btree_map<TokenId, int32_t> counts = slot.output_counts;
  if (segment.phase() == Segment::DRAFT && segment.first_position() != slot.num_committed) {
    for (TokenId id : slot.tentative) ++counts[id];
  }
  for (int i = NumCommitted(segment); i < segment.token_ids_size(); ++i) {
    const uint32_t position = segment.first_position() + static_cast<uint32_t>(i);
    if (IsMaskedRow(segment, i) || position < sampling.prompt_length()) continue;
    ++counts[static_cast<TokenId>(segment.token_ids(i))];
  }
  penalties.counts.assign(counts.begin(), counts.end());
  if (!Repeats(sampling)) return penalties;
  std::set<TokenId> repeated(slot.prompt_ids.begin(), slot.prompt_ids.end());
  for (const auto& [id, count] : counts) repeated.insert(id);
  penalties.repeated.assign(repeated.begin(), repeated.end());
  return penalties;
}

LogitRowSpec Worker::SpecFor(const Slot& slot, const SegmentPenalties& penalties, int64_t position,
                             uint32_t step) const {
  const sdar::v1::SamplingRecord& sampling = slot.sampling;
  LogitRowSpec spec;
  if (sampling.temperature() > 0) spec.inverse_temperature = 1.0f / sampling.temperature();
  if (!penalties.repeated.empty()) spec.repetition_penalty = sampling.repetition_penalty();
  spec.presence_penalty = sampling.presence_penalty();
  spec.frequency_penalty = sampling.frequency_penalty();
  spec.repeated = penalties.repeated;
  spec.output_counts = penalties.counts;
  spec.bias = slot.bias;
  const int64_t output_position = position - int64_t{sampling.prompt_length()};
  if (output_position < int64_t{sampling.min_tokens()}) spec.forbidden = slot.stop_ids;
  spec.draws = sampling.draws();
  spec.draw_key = {sampling.seed(), static_cast<uint32_t>(position), step};
  return spec;
}

void Worker::AppendRows(const Segment& segment, const SegmentPenalties& penalties,
                        StepRows& rows) const {
  const Slot& slot = slots_[segment.slot()];
  const int64_t page_size = model_.options().kv_cache.page_size;
  AttentionSegment placed;
  placed.first_row = static_cast<int32_t>(rows.token_ids.size());
  placed.num_rows = segment.token_ids_size();
  placed.first_position = static_cast<int32_t>(segment.first_position());
  placed.block_length = static_cast<int32_t>(segment.block_length());
  placed.page_offset = static_cast<int32_t>(rows.page_table.size());
  rows.segments.push_back(placed);
  rows.page_table.insert(rows.page_table.end(), slot.pages.begin(), slot.pages.end());

  const int num_written = NumWritten(segment);
  int asked = 0;
  uint32_t mask = segment.mask();  // of the first masked row, then 0
  for (int i = 0; i < segment.token_ids_size(); ++i) {
    const int64_t position = int64_t{segment.first_position()} + i;
    int64_t kv_slot = -1;
    if (i < num_written) {
      kv_slot = int64_t{slot.pages[static_cast<size_t>(position / page_size)]} * page_size +
                position % page_size;
    }
    if (IsMaskedRow(segment, i)) {
      rows.logit_rows.push_back(static_cast<int32_t>(rows.token_ids.size()));
      LogitRowSpec spec = SpecFor(slot, penalties, position, segment.step_index());
      if (asked < segment.asked_ids_size()) {
        spec.asked = static_cast<TokenId>(segment.asked_ids(asked++));
      }
      if (mask > 0) spec.allowed = masks_[std::exchange(mask, 0) - 1];
      rows.logit_specs.push_back(spec);
    }
    rows.token_ids.push_back(static_cast<TokenId>(segment.token_ids(i)));
    rows.positions.push_back(static_cast<int32_t>(position));
    rows.kv_slots.push_back(kv_slot);
  }
}

}  // namespace sdar
