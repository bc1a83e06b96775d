// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine/engine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

using sdar::v1::StepPlan;

// Rows resolved by one plan: bounds what a resolve gathers to some tens of megabytes at 151,936
// ids.
constexpr size_t kResolveRows = 64;

}  // namespace

std::vector<std::pair<TokenId, TokenId>> ForbiddenIds(const Tokenizer& tokenizer,
                                                      TokenId mask_token, int64_t vocab_size) {
  std::vector<std::pair<TokenId, TokenId>> ranges;
  for (TokenId id = 0; id < vocab_size; ++id) {
    if (id != mask_token && tokenizer.HasToken(id)) continue;
    if (!ranges.empty() && ranges.back().second == id) {
      ++ranges.back().second;
    } else {
      ranges.emplace_back(id, id + 1);
    }
  }
  return ranges;
}

Engine::Engine(const EngineConfig& config, const Tokenizer& tokenizer, Worker& worker,
               StepChannel& channel)
    : config_(config),
      tokenizer_(tokenizer),
      worker_(worker),
      channel_(channel),
      scheduler_(config.scheduler) {
  PublishStatus();
}

absl::StatusOr<std::vector<SequenceId>> Engine::Submit(std::vector<Submission> samples) {
  std::vector<SequenceId> ids;
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (Submission& sample : samples) {
    SDAR_RETURN_IF_ERROR(ValidateRequest(sample.request, config_.limits));
    ids.emplace_back(next_sequence_.fetch_add(1, std::memory_order_relaxed));
    sequences.push_back(std::make_unique<Sequence>(ids.back(), std::move(sample.request),
                                                   std::move(sample.callback), tokenizer_,
                                                   config_.mask_token));
    if (ids.size() > 1) sequences.back()->Follow(ids.front());
  }
  absl::MutexLock lock(&mutex_);
  if (stopping_) return absl::UnavailableError("the job is stopping");
  for (auto& sequence : sequences) submitted_.push_back(std::move(sequence));
  return ids;
}

void Engine::Cancel(SequenceId id, const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  cancelled_.emplace_back(id, status);
}

void Engine::Stop(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  stopping_ = true;
  stop_status_ = status;
}

EngineStatus Engine::GetStatus() const {
  absl::MutexLock lock(&mutex_);
  EngineStatus status = status_;
  status.waiting += static_cast<int>(submitted_.size());
  status.step_age = CurrentStepAge();
  return status;
}

absl::Duration Engine::CurrentStepAge() const {
  const int64_t started = step_started_ns_.load(std::memory_order_relaxed);
  return started == 0 ? absl::ZeroDuration() : SteadyTime::Now() - SteadyTime::FromNanos(started);
}

void Engine::PublishStatus() {
  absl::MutexLock lock(&mutex_);
  const uint64_t finished = worker_.next_step();
  if (finished != status_.finished_steps) status_.last_step = SteadyTime::Now();
  status_.finished_steps = finished;
  status_.running = scheduler_.num_running();
  status_.waiting = scheduler_.num_waiting();
  status_.free_slots = scheduler_.num_free_slots();
  status_.total_slots = scheduler_.config().max_sequences;
  status_.free_pages = scheduler_.num_free_pages();
  status_.total_pages = scheduler_.config().num_pages;
  status_.cached_pages = scheduler_.num_cached_pages();
  const SchedulerCounters& counters = scheduler_.counters();
  status_.preemptions = static_cast<uint64_t>(counters.preemptions);
  status_.prefix_cache_queried_tokens = static_cast<uint64_t>(counters.prefix_cache_queried_tokens);
  status_.prefix_cache_hit_tokens = static_cast<uint64_t>(counters.prefix_cache_hit_tokens);
  status_.steps = counters.steps;
}

bool Engine::TakeInbox() {
  std::vector<std::unique_ptr<Sequence>> submitted;
  std::vector<std::pair<SequenceId, absl::Status>> cancelled;
  bool stopping;
  absl::Status stop_status;
  {
    absl::MutexLock lock(&mutex_);
    if (idle_) mutex_.Await(absl::Condition(this, &Engine::HasNews));
    submitted.swap(submitted_);
    cancelled.swap(cancelled_);
    // What was taken counts as waiting until the next PublishStatus.
    status_.waiting += static_cast<int>(submitted.size());
    stopping = stopping_;
    stop_status = stop_status_;
  }
  for (auto& sequence : submitted) scheduler_.Add(std::move(sequence));
  for (const auto& [id, status] : cancelled) scheduler_.Cancel(id, status);
  scheduler_.ExpireDeadlines(SteadyTime::Now());
  if (stopping) scheduler_.CancelAll(stop_status);
  PublishStatus();
  return !stopping;
}

absl::Status Engine::Run() {
  StepPlan setup;
  for (const auto& [begin, end] : config_.limits.forbidden) {
    auto* range = setup.add_forbidden();
    range->set_begin(static_cast<uint32_t>(begin));
    range->set_end(static_cast<uint32_t>(end));
  }
  setup.set_kind(StepPlan::IDLE);
  SDAR_RETURN_IF_ERROR(RunPlan(setup).status());
  StepPlan plan;  // one for all steps: it keeps its memory
  while (TakeInbox()) {
    plan.Clear();
    plan.set_kind(StepPlan::FORWARD);
    const SteadyTime begin = SteadyTime::Now();
    SDAR_RETURN_IF_ERROR(scheduler_.FillPlan(plan) ? RunStep(plan, begin) : GoIdle());
    PublishStatus();
  }
  StepPlan last;
  last.set_kind(StepPlan::SHUTDOWN);
  return RunPlan(last).status();
}

absl::Status Engine::GoIdle() {
  if (idle_) return absl::OkStatus();
  idle_ = true;
  StepPlan plan;
  plan.set_kind(StepPlan::IDLE);
  return RunPlan(plan).status();
}

absl::StatusOr<StepResult> Engine::RunPlan(StepPlan& plan) {
  plan.set_version(kStepPlanVersion);
  plan.set_step_id(worker_.next_step());
  step_started_ns_.store(SteadyTime::Now().ToNanos(), std::memory_order_relaxed);
  SDAR_RETURN_IF_ERROR(channel_.Send(plan));
  auto result = worker_.Execute(plan);
  step_started_ns_.store(0, std::memory_order_relaxed);
  if (recorder_ != nullptr && result.ok()) Record(plan, *result);
  return result;
}

// A record that cannot be written is given up; the job goes on.
void Engine::Record(const StepPlan& plan, const StepResult& result) {
  const absl::Status status = recorder_->Add(plan, result.summaries);
  if (status.ok()) return;
  spdlog::error("--record-plans: {}; recording ends", std::string(status.message()));
  recorder_.reset();
}

absl::Status Engine::RunStep(StepPlan& plan, SteadyTime begin) {
  idle_ = false;
  SDAR_ASSIGN_OR_RETURN(const StepResult result, RunPlan(plan));
  bool more = true;
  while (more) {
    SDAR_ASSIGN_OR_RETURN(const ResolvedLogits resolved,
                          Resolve(scheduler_.RowsToResolve(result.summaries)));
    more = scheduler_.Apply(result.summaries, resolved);
  }
  scheduler_.NoteStepTime(SteadyTime::Now() - begin);
  return absl::OkStatus();
}

absl::StatusOr<ResolvedLogits> Engine::Resolve(absl::Span<const int32_t> rows) {
  ResolvedLogits resolved;
  const auto width = static_cast<std::ptrdiff_t>(config_.limits.vocab_size);
  for (size_t begin = 0; begin < rows.size(); begin += kResolveRows) {
    const absl::Span<const int32_t> chunk = rows.subspan(begin, kResolveRows);
    StepPlan plan;
    plan.set_kind(StepPlan::RESOLVE);
    for (int32_t row : chunk) plan.add_resolve_rows(static_cast<uint32_t>(row));
    SDAR_ASSIGN_OR_RETURN(const StepResult result, RunPlan(plan));
    auto from = result.logits.begin();
    for (int32_t row : chunk) {
      resolved[row].assign(from, from + width);
      from += width;
    }
  }
  return resolved;
}

absl::Status RunWorkerLoop(Worker& worker, StepChannel& channel,
                           const std::function<void(uint64_t)>& on_step) {
  while (true) {
    SDAR_ASSIGN_OR_RETURN(const StepPlan plan, channel.Receive());
    SDAR_RETURN_IF_ERROR(worker.Execute(plan).status());
    on_step(worker.next_step());
    if (plan.kind() == StepPlan::SHUTDOWN) return absl::OkStatus();
  }
}

}  // namespace sdar
