// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/scheduler.h"

#include <algorithm>

#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

// The position after the active block.
int64_t EndOfBlock(const Sequence& sequence) {
  return sequence.num_known() + sequence.block_length();
}

int64_t PagesFor(int64_t positions, int64_t page_size) {
  return (positions + page_size - 1) / page_size;
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config),
      pages_(config.num_pages),
      cache_(pages_, config.page_size, config.prefix_cache),
      prefill_pace_(config.prefill_share) {
  for (int slot = config.max_sequences - 1; slot >= 0; --slot) free_slots_.emplace_back(slot);
}

void Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  const SteadyTime deadline = sequence->request().deadline;
  if (deadline != SteadyTime::InfiniteFuture()) deadlines_.emplace(deadline, sequence->id());
  waiting_.emplace(sequence->seniority(), std::move(sequence));
}

Scheduler::Running* Scheduler::Find(SequenceId id) const {
  for (const auto& running : running_) {
    if (running->sequence->id() == id) return running.get();
  }
  return nullptr;
}

bool Scheduler::Cancel(SequenceId id, const absl::Status& status) {
  std::unique_ptr<Sequence> sequence;
  if (Running* running = Find(id)) {
    sequence = Leave(*running);
  } else {
    const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                    [id](const auto& entry) { return entry.second->id() == id; });
    if (found == waiting_.end()) return false;
    sequence = std::move(found->second);
    waiting_.erase(found);
  }
  deadlines_.erase({sequence->request().deadline, id});
  sequence->Fail(status);
  return true;
}

void Scheduler::CancelAll(const absl::Status& status) {
  while (!waiting_.empty()) Cancel(waiting_.begin()->second->id(), status);
  while (!running_.empty()) Cancel(running_.back()->sequence->id(), status);
}

void Scheduler::ExpireDeadlines(SteadyTime now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto [deadline, id] = *deadlines_.begin();
    SDAR_CHECK(Cancel(id, absl::DeadlineExceededError("the request's deadline has passed")));
  }
}

// Takes a sequence's slot and pages away.
std::unique_ptr<Sequence> Scheduler::Leave(Running& running) {
  cache_.Release(running.pages);
  free_slots_.push_back(running.slot);
  if (running.announced) released_.push_back(running.slot);
  for (Planned& planned : planned_) {
    if (planned.running == &running) planned.running = nullptr;
  }
  std::unique_ptr<Sequence> sequence = std::move(running.sequence);
  const auto found = std::find_if(running_.begin(), running_.end(),
                                  [&](const auto& other) { return other.get() == &running; });
  running_.erase(found);
  return sequence;
}

// Gives slots to those that wait, the most senior first, for as long as there is room.
void Scheduler::Admit() {
  for (auto next = waiting_.begin(); next != waiting_.end() && !free_slots_.empty();) {
    if (HasToFollow(*next->second)) {
      ++next;
    } else if (Start(next->second)) {
      next = waiting_.erase(next);
    } else {
      return;
    }
  }
}

// Whether the pages that it could share are still being written by its leader.
bool Scheduler::HasToFollow(const Sequence& sequence) const {
  if (!sequence.leader() || !cache_.enabled()) return false;
  const Running* leader = Find(*sequence.leader());
  if (leader == nullptr) return false;
  const auto prompt = static_cast<int64_t>(leader->sequence->request().prompt.size());
  return leader->sequence->num_committed() < prompt / config_.page_size * config_.page_size;
}

// Starts a sequence when there are pages for what is known of it and one for everybody who runs, so
// that it does not come only to push others out or to be pushed out.
bool Scheduler::Start(std::unique_ptr<Sequence>& sequence) {
  std::vector<PageId> pages = cache_.Acquire(sequence->block_length(), sequence->reusable());
  const auto cached = static_cast<int64_t>(pages.size());
  const int64_t needed = PagesFor(sequence->num_known(), config_.page_size) - cached;
  if (needed + static_cast<int64_t>(running_.size()) > num_free_pages()) {
    cache_.Release(pages);
    return false;
  }
  sequence->SkipCommitted(cached * config_.page_size);
  if (cache_.enabled() && !sequence->was_preempted()) {
    counters_.prefix_cache_queried_tokens += static_cast<int64_t>(sequence->reusable().size());
    counters_.prefix_cache_hit_tokens += sequence->num_committed();
  }
  sequence->NoteStart(SteadyTime::Now());
  auto running = std::make_unique<Running>();
  running->sequence = std::move(sequence);
  running->slot = free_slots_.back();
  free_slots_.pop_back();
  running->num_offered = pages.size();
  running->pages = std::move(pages);
  running->last_served = steps_;
  running_.push_back(std::move(running));
  return true;
}

// Rows of a step of a sequence that decodes; 0 for one that has a prompt to prefill first, and for
// one that scores: all that it does is like prefilling.
int64_t Scheduler::DecodeRows(const Sequence& sequence) const {
  if (sequence.scores()) return 0;
  const int64_t block = sequence.block_length();
  if (sequence.num_pending() > block) return 0;
  if (sequence.num_pending() == 0) return block;
  return config_.fuse_commit ? 2 * block : block;
}

std::vector<std::pair<SequenceId, Scheduler::Running*>> Scheduler::ServiceOrder() const {
  std::vector<std::pair<SequenceId, Running*>> order;
  order.reserve(running_.size());
  for (const auto& running : running_) order.emplace_back(running->sequence->id(), running.get());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    const Running &x = *a.second, &y = *b.second;
    if (x.last_served != y.last_served) return x.last_served < y.last_served;
    return x.sequence->seniority() < y.sequence->seniority();
  });
  return order;
}

void Scheduler::PlanSequences(RowBudget& budget) {
  const int64_t preemptions = counters_.preemptions;
  for (const auto& [id, running] : ServiceOrder()) {
    const bool gone = counters_.preemptions != preemptions && Find(id) == nullptr;
    if (!gone && PlanSequence(*running, budget)) running->last_served = steps_;
  }
}

bool Scheduler::FillPlan(sdar::v1::StepPlan& plan) {
  planned_.clear();
  pieces_.clear();
  Admit();
  if (running_.empty()) {
    SDAR_CHECK(waiting_.empty());
    return false;
  }
  ++steps_;
  int64_t decode_rows = 0;
  for (const auto& running : running_) decode_rows += DecodeRows(*running->sequence);
  RowBudget budget = BudgetOf(decode_rows);
  PlanSequences(budget);
  if (planned_.empty() && budget.prompts_rest) {
    budget.may_rest = budget.prompts_rest = false;
    PlanSequences(budget);
  }
  SDAR_CHECK(!planned_.empty());
  PlanDrafts(budget);
  for (SlotId slot : released_) {
    plan.add_released_slots(static_cast<uint32_t>(slot.value()));
  }
  released_.clear();
  ++counters_.steps.forward_passes;
  num_summaries_ = 0;
  masks_.BeginPlan();
  for (Planned& planned : planned_) AddSegments(planned, plan);
  int64_t rows = 0;
  for (const sdar::v1::Segment& segment : plan.segments()) rows += segment.token_ids_size();
  counters_.steps.rows += static_cast<uint64_t>(rows);
  prompts_waited_ = budget.prompts_rest;
  decode_rows_ = rows;
  for (const PrefillPace::Piece& piece : pieces_) decode_rows_ -= piece.rows;
  return true;
}

// Gives the rows that are left to drafts, where they pay.
void Scheduler::PlanDrafts(const RowBudget& budget) {
  std::vector<DraftPlanner::Wish> wishes;
  for (Planned& planned : planned_) {
    const Sequence& sequence = *planned.running->sequence;
    const bool automatic = sequence.request().drafts == kAutomaticDrafts;
    if (!planned.denoise || !sequence.CanDraft() || (automatic && !config_.fuse_commit)) continue;
    wishes.push_back({&sequence, CanWriteDraft(*planned.running), &planned.drafts});
  }
  draft_planner_.Plan(wishes, static_cast<int>(planned_.size()),
                      config_.max_batch_rows - budget.rows, config_.max_batch_rows);
  for (const Planned& planned : planned_) {
    const bool writes = std::any_of(planned.drafts.begin(), planned.drafts.end(),
                                    [](const PlannedDraft& draft) { return draft.writes; });
    if (writes) SDAR_CHECK(EnsurePages(*planned.running, EndOfBlock(*planned.running->sequence)));
  }
}

// Whether there is or can be a page for the K/V of the active block. Drafts, one of a sequence,
// take them only where there is one for everybody, so that nobody else misses them.
bool Scheduler::CanWriteDraft(const Running& running) const {
  if (running.sequence->draft_basis().ends_here) return false;
  return EndOfBlock(*running.sequence) <=
             static_cast<int64_t>(running.pages.size()) * config_.page_size ||
         pages_.num_free() > static_cast<int64_t>(running_.size());
}

// Gives a sequence the rows and pages it can have in this step. False when it has to wait.
bool Scheduler::PlanSequence(Running& running, RowBudget& budget) {
  const Sequence& sequence = *running.sequence;
  const int64_t block = sequence.block_length();
  int64_t pending_rows = sequence.num_pending();
  int64_t num_targets = 0;
  bool denoise = pending_rows == 0 || config_.fuse_commit;
  const bool prefill = DecodeRows(sequence) == 0;
  if (prefill && PromptsRest(sequence, budget)) return false;
  if (prefill) {
    const int64_t available = RowsForPrompt(sequence, budget);
    denoise = !sequence.scores() && config_.fuse_commit && pending_rows + block <= available;
    pending_rows = denoise ? pending_rows : std::min(pending_rows, available);
    if (sequence.scores()) {
      const ScoringShare scored = sequence.ShareOf(available);
      pending_rows = scored.pending_rows;
      num_targets = scored.num_targets;
    } else if (budget.has_prefill && !denoise && !SavesAPass(sequence, pending_rows)) {
      return false;
    }
  }
  const int64_t rows = pending_rows + (denoise ? block : 0) + num_targets * block;
  if (rows <= 0 || rows > budget.rows) return false;
  if (!EnsurePages(running, sequence.num_committed() + pending_rows)) return false;
  budget.rows -= rows;
  if (prefill) {
    budget.prefill_rows -= rows;
    budget.has_prefill = true;
    pieces_.push_back({rows, sequence.num_committed()});
    budget.prefill_milliseconds -= prefill_pace_.Milliseconds(pieces_.back());
  }
  planned_.push_back({&running, pending_rows, denoise, num_targets});
  return true;
}

// Gets the pages of a sequence's first `num_positions` positions. False when others that cannot be
// preempted hold them.
bool Scheduler::EnsurePages(Running& running, int64_t num_positions) {
  const int64_t missing =
      PagesFor(num_positions, config_.page_size) - static_cast<int64_t>(running.pages.size());
  if (missing <= 0) return true;
  if (!MakeRoom(missing, running)) return false;
  for (int64_t i = 0; i < missing; ++i) {
    if (pages_.num_free() == 0) cache_.EvictOne();
    running.pages.push_back(pages_.Allocate());
  }
  return true;
}

// Preempts sequences that are less senior than `wanting` and not part of this step, the least
// senior first, until that many pages can be had.
bool Scheduler::MakeRoom(int64_t num_pages, const Running& wanting) {
  while (num_free_pages() < num_pages) {
    Running* victim = nullptr;
    for (const auto& other : running_) {
      const Seniority seniority = other->sequence->seniority();
      const Seniority& bar =
          victim == nullptr ? wanting.sequence->seniority() : victim->sequence->seniority();
      const bool planned = std::any_of(planned_.begin(), planned_.end(),
                                       [&](const Planned& p) { return p.running == other.get(); });
      if (bar < seniority && !planned) victim = other.get();
    }
    if (victim == nullptr) return false;
    std::unique_ptr<Sequence> sequence = Leave(*victim);
    sequence->Preempt();
    ++counters_.preemptions;
    waiting_.emplace(sequence->seniority(), std::move(sequence));
  }
  return true;
}

// The sequence's rows, followed by its drafts.
void Scheduler::AddSegments(Planned& planned, sdar::v1::StepPlan& plan) {
  Running& running = *planned.running;
  const int first = plan.segments_size();
  AddOwnSegments(planned, plan);
  Announce(running, *plan.mutable_segments(first));
  for (PlannedDraft& planned_draft : planned.drafts) {
    if (!planned_draft.planned) continue;
    sdar::v1::Segment& segment = *plan.add_segments();
    segment.set_slot(static_cast<uint32_t>(running.slot.value()));
    running.sequence->FillDraft(planned_draft.draft, planned_draft.writes, segment);
    AddMask(*running.sequence, &planned_draft.draft, plan);
    planned_draft.first_summary = num_summaries_;
    num_summaries_ += planned_draft.draft.state.MaskedPositions().size();
    ++counters_.steps.drafts;
    counters_.steps.draft_rows += static_cast<uint64_t>(segment.token_ids_size());
  }
}

// What is known and the active block, or the states of targets.
void Scheduler::AddOwnSegments(Planned& planned, sdar::v1::StepPlan& plan) {
  const Sequence& sequence = *planned.running->sequence;
  const auto slot = static_cast<uint32_t>(planned.running->slot.value());
  if (planned.pending_rows > 0 || planned.denoise) {
    sdar::v1::Segment& segment = *plan.add_segments();
    segment.set_slot(slot);
    sequence.FillSegment(planned.pending_rows, planned.denoise, segment);
    if (planned.denoise) AddMask(sequence, nullptr, plan);
  }
  for (int64_t i = 0; i < planned.num_targets; ++i) {
    sdar::v1::Segment& segment = *plan.add_segments();
    segment.set_slot(slot);
    sequence.FillState(i, segment);
  }
  planned.first_summary = num_summaries_;
  planned.num_summaries = planned.denoise ? sequence.block().MaskedPositions().size()
                                          : static_cast<size_t>(planned.num_targets);
  num_summaries_ += planned.num_summaries;
}

// Says what the first masked position of the plan's last segment may become.
void Scheduler::AddMask(const Sequence& sequence, const Draft* draft, sdar::v1::StepPlan& plan) {
  const std::shared_ptr<const grammar::TokenMask> mask = sequence.MaskOf(draft);
  if (mask == nullptr) return;
  const uint32_t index = masks_.IndexOf(*mask, plan);
  plan.mutable_segments(plan.segments_size() - 1)->set_mask(index + 1);
}

// Tells the ranks with the sequence's first segment of the plan what they do not know of its slot.
void Scheduler::Announce(Running& running, sdar::v1::Segment& segment) {
  if (!running.announced) {
    running.sequence->FillSamplingRecord(*segment.mutable_sampling());
    running.announced = true;
  }
  for (; running.num_announced < running.pages.size(); ++running.num_announced) {
    segment.add_new_pages(static_cast<uint32_t>(running.pages[running.num_announced].value()));
  }
}

}  // namespace sdar
