// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"
#include "runtime/diffusion/sampler.h"

namespace sdar {

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config), pages_(config.num_pages) {
  for (int slot = config.max_sequences - 1; slot >= 0; --slot) free_slots_.emplace_back(slot);
}

void Scheduler::Add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }

bool Scheduler::Cancel(SequenceId id, const absl::Status& status) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if ((*it)->id() != id) continue;
    (*it)->Fail(status);
    waiting_.erase(it);
    return true;
  }
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i].sequence->id() != id) continue;
    running_[i].sequence->Fail(status);
    Release(i);
    return true;
  }
  return false;
}

void Scheduler::CancelAll(const absl::Status& status) {
  while (!waiting_.empty()) {
    waiting_.front()->Fail(status);
    waiting_.pop_front();
  }
  while (!running_.empty()) {
    running_.back().sequence->Fail(status);
    Release(running_.size() - 1);
  }
}

void Scheduler::Release(size_t index) {
  Running& running = running_[index];
  pages_.Free(running.pages);
  free_slots_.push_back(running.slot);
  if (running.announced) released_.push_back(running.slot);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

Scheduler::Running* Scheduler::Find(SequenceId id) {
  for (Running& running : running_) {
    if (running.sequence->id() == id) return &running;
  }
  return nullptr;
}

// Gives slots and pages to the head of the queue for as long as there are both.
void Scheduler::Admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    const GenerationRequest& request = waiting_.front()->request();
    const int64_t needed =
        PagesNeeded(static_cast<int64_t>(request.prompt.size()), request.stopping.max_tokens,
                    request.remasking.block_length, config_.page_size);
    if (needed > pages_.num_free()) return;
    Running& running = running_.emplace_back();
    running.sequence = std::move(waiting_.front());
    waiting_.pop_front();
    running.slot = free_slots_.back();
    free_slots_.pop_back();
    running.pages = pages_.Allocate(needed);
    running.last_served = steps_;
  }
}

// Rows of a step of a sequence that decodes; 0 for one that has a prompt to prefill first.
int64_t Scheduler::DecodeRows(const Sequence& sequence) const {
  const int64_t block = sequence.block_length();
  if (sequence.num_pending() > block) return 0;
  if (sequence.num_pending() == 0) return block;
  return config_.fuse_commit ? 2 * block : block;
}

bool Scheduler::FillPlan(sdar::v1::StepPlan& plan) {
  Admit();
  planned_.clear();
  if (running_.empty()) return false;
  for (SlotId slot : released_) {
    plan.add_released_slots(static_cast<uint32_t>(slot.value()));
  }
  released_.clear();
  ++steps_;
  std::vector<Running*> order;
  int64_t decode_total = 0;
  for (Running& running : running_) {
    order.push_back(&running);
    decode_total += DecodeRows(*running.sequence);
  }
  std::stable_sort(order.begin(), order.end(), [](const Running* a, const Running* b) {
    return a->last_served < b->last_served;
  });
  int64_t rows_left = config_.max_batch_rows;
  int64_t prefill_rows = std::max(config_.max_batch_rows / 4, rows_left - decode_total);
  for (Running* running : order) {
    PlanSequence(*running, DecodeRows(*running->sequence), prefill_rows, rows_left, plan);
  }
  SDAR_CHECK(!planned_.empty());
  return true;
}

// Gives a sequence the rows it can have in this step, if any.
void Scheduler::PlanSequence(Running& running, int64_t decode_rows, int64_t& prefill_rows,
                             int64_t& rows_left, sdar::v1::StepPlan& plan) {
  const Sequence& sequence = *running.sequence;
  const int64_t block = sequence.block_length();
  const int64_t pending = sequence.num_pending();
  int64_t pending_rows = pending;
  bool denoise = pending == 0 || config_.fuse_commit;
  if (decode_rows == 0) {
    // A block at least when its turn comes, however large that is beside the prefill's share.
    const int64_t available = std::min(std::max(prefill_rows, block), rows_left) / block * block;
    denoise = config_.fuse_commit && pending + block <= available;
    pending_rows = denoise ? pending : std::min(pending, available);
    prefill_rows -= pending_rows + (denoise ? block : 0);
  }
  const int64_t rows = pending_rows + (denoise ? block : 0);
  if (rows == 0 || rows > rows_left) return;
  rows_left -= rows;
  running.last_served = steps_;

  sdar::v1::Segment& segment = *plan.add_segments();
  segment.set_slot(static_cast<uint32_t>(running.slot.value()));
  sequence.FillSegment(pending_rows, denoise, segment);
  if (!running.announced) {
    running.announced = true;
    sequence.FillSamplingRecord(*segment.mutable_sampling());
    for (PageId page : running.pages) segment.add_new_pages(static_cast<uint32_t>(page.value()));
  }
  const int masked = denoise ? static_cast<int>(sequence.block().MaskedPositions().size()) : 0;
  planned_.push_back({sequence.id(), pending_rows, denoise, masked});
}

std::vector<int32_t> Scheduler::RowsToResolve(absl::Span<const LogitSummary> summaries) const {
  std::vector<int32_t> rows;
  int32_t row = 0;
  for (const Planned& planned : planned_) {
    const auto of_plan = [&](const Running& r) { return r.sequence->id() == planned.id; };
    const auto found = std::find_if(running_.begin(), running_.end(), of_plan);
    for (int i = 0; i < planned.num_masked; ++i, ++row) {
      if (found != running_.end() && NeedsAllLogits(summaries[static_cast<size_t>(row)],
                                                    found->sequence->request().sampling)) {
        rows.push_back(row);
      }
    }
  }
  return rows;
}

void Scheduler::Apply(absl::Span<const LogitSummary> summaries, const ResolvedLogits& resolved) {
  int32_t row = 0;
  for (const Planned& planned : planned_) {
    const int32_t first = row;
    row += planned.num_masked;
    Running* running = Find(planned.id);
    if (running == nullptr) continue;  // cancelled while the step ran
    Sequence& sequence = *running->sequence;
    const SamplingOptions& sampling = sequence.request().sampling;
    std::vector<Choice> choices;
    std::vector<const LogitSummary*> chosen_from;
    const std::vector<int> masked =
        planned.denoise ? sequence.block().MaskedPositions() : std::vector<int>();
    for (size_t i = 0; i < masked.size(); ++i) {
      const int32_t index = first + static_cast<int32_t>(i);
      const LogitSummary& summary = summaries[static_cast<size_t>(index)];
      const DrawKey key = sequence.KeyFor(masked[i]);
      const auto whole = resolved.find(index);
      choices.push_back(whole == resolved.end()
                            ? Choose(summary, sampling, key)
                            : ChooseFromLogits(whole->second, summary, sampling, key));
      chosen_from.push_back(&summary);
    }
    if (sequence.Apply(planned.pending_rows, choices, chosen_from)) {
      Release(static_cast<size_t>(running - running_.data()));
    }
  }
  planned_.clear();
}

}  // namespace sdar
