// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/router.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

// Hashes of leading pages that are remembered: 4 million tokens at 64 a page, in some megabytes.
constexpr size_t kPagesRemembered = size_t{1} << 16;

void CallEnded(const std::vector<std::pair<UpdateCallback, absl::Status>>& ended) {
  for (const auto& [callback, status] : ended) {
    SequenceUpdate update;
    update.end.emplace();
    update.end->status = status;
    callback(std::move(update));
  }
}

void AddTo(EngineStatus& total, const EngineStatus& replica) {
  total.running += replica.running;
  total.waiting += replica.waiting;
  total.free_slots += replica.free_slots;
  total.total_slots += replica.total_slots;
  total.free_pages += replica.free_pages;
  total.total_pages += replica.total_pages;
  total.finished_steps += replica.finished_steps;
  total.last_step = std::max(total.last_step, replica.last_step);
  total.step_age = std::max(total.step_age, replica.step_age);
  total.cached_pages += replica.cached_pages;
  total.prefix_cache_queried_tokens += replica.prefix_cache_queried_tokens;
  total.prefix_cache_hit_tokens += replica.prefix_cache_hit_tokens;
  total.preemptions += replica.preemptions;
  total.steps += replica.steps;
}

}  // namespace

Router::Router(const RouterConfig& config, std::vector<Replica> replicas)
    : config_(config),
      replicas_(std::move(replicas)),
      loads_(replicas_.size()),
      affinity_(kPagesRemembered) {
  SDAR_CHECK(!replicas_.empty());
  deadline_thread_ = std::thread([this] { DeadlineLoop(); });
}

Router::~Router() {
  Stop(absl::UnavailableError("the job is stopping"));
  deadline_thread_.join();
}

absl::StatusOr<std::vector<SequenceId>> Router::Submit(std::vector<Submission> samples) {
  for (const Submission& sample : samples) {
    SDAR_RETURN_IF_ERROR(ValidateRequest(sample.request, config_.limits));
  }
  std::vector<SequenceId> ids;
  if (samples.empty()) return ids;
  {
    Request request;
    const GenerationRequest& first = samples[0].request;
    request.prompt_tokens = first.num_given();
    if (replicas_.size() > 1 && config_.affinity_rows >= 0) {
      request.leading_pages =
          HashLeadingPages(first.prompt, first.remasking.block_length, config_.limits.page_size);
    }
    absl::MutexLock lock(&mutex_);
    SDAR_ASSIGN_OR_RETURN(ids, Enqueue(std::move(samples), std::move(request)));
  }
  DispatchAll();
  return ids;
}

absl::StatusOr<std::vector<SequenceId>> Router::Enqueue(std::vector<Submission> samples,
                                                        Request request) {
  SDAR_RETURN_IF_ERROR(stopped_);
  const auto count = static_cast<int64_t>(samples.size());
  const bool goes_now = queue_.empty() && ChooseReplica(count, request.leading_pages).has_value();
  if (!goes_now) SDAR_RETURN_IF_ERROR(CheckRoom(count, request.prompt_tokens));
  const QueueKey key(-samples[0].request.priority, next_arrival_++);
  std::vector<SequenceId> ids;
  for (Submission& sample : samples) {
    const SequenceId id(next_id_++);
    ids.push_back(id);
    Open& open = open_[id];
    open.queued = key;
    open.rows = sample.request.max_length();
    open.deadline = sample.request.deadline;
    if (open.deadline != SteadyTime::InfiniteFuture()) deadlines_.emplace(open.deadline, id);
    if (open.deadline < wakes_at_) deadline_news_.NotifyAll();
    request.samples.push_back({id, std::move(sample)});
  }
  waiting_ += count;
  waiting_tokens_ += request.prompt_tokens;
  queue_.emplace(key, std::move(request));
  return ids;
}

absl::Status Router::CheckRoom(int64_t samples, int64_t prompt_tokens) const {
  std::string full;
  if (waiting_ + samples > config_.max_waiting) {
    full = absl::StrCat(waiting_, " sequences wait, of at most ", config_.max_waiting);
  } else if (waiting_tokens_ + prompt_tokens > config_.max_waiting_tokens) {
    full = absl::StrCat(waiting_tokens_, " prompt tokens wait, of at most ",
                        config_.max_waiting_tokens);
  } else {
    return absl::OkStatus();
  }
  return WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", full)),
                        end_rate_.TimeToDrain(waiting_, SteadyTime::Now()));
}

std::optional<int> Router::ChooseReplica(int64_t samples, absl::Span<const uint64_t> pages) const {
  const auto has_room = [&](const Load& load) {
    return load.sequences == 0 || load.sequences + samples <= config_.slots;
  };
  std::optional<int> least;
  for (size_t r = 0; r < loads_.size(); ++r) {
    if (!has_room(loads_[r])) continue;
    if (!least || loads_[r].rows < loads_[static_cast<size_t>(*least)].rows) {
      least = static_cast<int>(r);
    }
  }
  if (!least) return std::nullopt;
  const std::optional<int> seen = affinity_.Find(pages);
  if (!seen) return least;
  const Load& preferred = loads_[static_cast<size_t>(*seen)];
  const bool too_busy =
      preferred.rows - loads_[static_cast<size_t>(*least)].rows > config_.affinity_rows;
  return has_room(preferred) && !too_busy ? seen : least;
}

std::optional<Router::Dispatch> Router::TakeNext() {
  if (queue_.empty()) return std::nullopt;
  Request& next = queue_.begin()->second;
  const auto count = static_cast<int64_t>(next.samples.size());
  const std::optional<int> replica = ChooseReplica(count, next.leading_pages);
  if (!replica) return std::nullopt;
  Dispatch dispatch{std::move(next), *replica};
  queue_.erase(queue_.begin());
  waiting_ -= count;
  waiting_tokens_ -= dispatch.request.prompt_tokens;
  affinity_.Note(dispatch.request.leading_pages, *replica);
  Load& load = loads_[static_cast<size_t>(*replica)];
  for (const Sample& sample : dispatch.request.samples) {
    Open& open = open_.at(sample.id);
    open.replica = *replica;
    deadlines_.erase({open.deadline, sample.id});
    load.sequences += 1;
    load.rows += open.rows;
  }
  return dispatch;
}

// One thread at a time hands over, in the queue's order, until nothing more can go; whoever comes
// meanwhile, as from a callback of the replica, leaves it to that thread, which looks again under
// the lock before it stops.
void Router::DispatchAll() {
  {
    absl::MutexLock lock(&mutex_);
    if (dispatching_) return;
    dispatching_ = true;
  }
  while (true) {
    std::optional<Dispatch> next;
    {
      absl::MutexLock lock(&mutex_);
      next = TakeNext();
      if (!next) {
        dispatching_ = false;
        return;
      }
    }
    HandOver(*std::move(next));
  }
}

void Router::HandOver(Dispatch dispatch) {
  const Replica& replica = replicas_[static_cast<size_t>(dispatch.replica)];
  std::vector<SequenceId> ids;
  std::vector<UpdateCallback> callbacks;  // should the replica refuse
  std::vector<Submission> submissions;
  for (Sample& sample : dispatch.request.samples) {
    ids.push_back(sample.id);
    callbacks.push_back(sample.submission.callback);
    submissions.push_back(
        {std::move(sample.submission.request),
         [this, id = sample.id, callback = std::move(sample.submission.callback)](
             SequenceUpdate update) { OnUpdate(id, callback, std::move(update)); }});
  }
  const auto taken = replica.submit(std::move(submissions));
  std::vector<std::pair<SequenceId, absl::Status>> cancelled;
  Ended ended;
  {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto open = open_.find(ids[i]);
      if (open == open_.end()) continue;  // it has ended already
      if (!taken.ok()) {
        Close(open);
        ended.emplace_back(std::move(callbacks[i]), taken.status());
        continue;
      }
      open->second.at_replica = (*taken)[i];
      if (!open->second.cancelled.ok()) {
        cancelled.emplace_back((*taken)[i], open->second.cancelled);
      }
    }
  }
  for (const auto& [id, status] : cancelled) replica.cancel(id, status);
  CallEnded(ended);
}

void Router::Close(OpenMap::iterator open) {
  if (open->second.replica >= 0) {
    Load& load = loads_[static_cast<size_t>(open->second.replica)];
    load.sequences -= 1;
    load.rows -= open->second.rows;
  }
  open_.erase(open);
}

// The slot is counted as free before the client hears of the end, and taken again after.
void Router::OnUpdate(SequenceId id, const UpdateCallback& callback, SequenceUpdate update) {
  if (!update.end) return callback(std::move(update));
  {
    absl::MutexLock lock(&mutex_);
    const auto open = open_.find(id);
    if (open != open_.end()) Close(open);
    end_rate_.NoteEnd(SteadyTime::Now());
  }
  callback(std::move(update));
  DispatchAll();
}

void Router::EndWaiting(SequenceId id, const absl::Status& status, Ended& ended) {
  const auto open = open_.find(id);
  const auto queued = queue_.find(open->second.queued);
  Request& request = queued->second;
  const auto sample = std::find_if(request.samples.begin(), request.samples.end(),
                                   [&](const Sample& s) { return s.id == id; });
  ended.emplace_back(std::move(sample->submission.callback), status);
  request.samples.erase(sample);
  deadlines_.erase({open->second.deadline, id});
  waiting_ -= 1;
  if (request.samples.empty()) {
    waiting_tokens_ -= request.prompt_tokens;
    queue_.erase(queued);
  }
  Close(open);
}

void Router::Cancel(SequenceId id, const absl::Status& status) {
  Ended ended;
  int replica = -1;
  SequenceId at_replica;
  {
    absl::MutexLock lock(&mutex_);
    const auto open = open_.find(id);
    if (open == open_.end()) return;
    if (open->second.replica < 0) {
      EndWaiting(id, status, ended);
    } else if (open->second.at_replica) {
      replica = open->second.replica;
      at_replica = *open->second.at_replica;
    } else if (open->second.cancelled.ok()) {
      open->second.cancelled = status;  // for HandOver to pass on
    }
  }
  if (replica >= 0) replicas_[static_cast<size_t>(replica)].cancel(at_replica, status);
  if (ended.empty()) return;
  CallEnded(ended);
  DispatchAll();  // what waited after it may fit
}

void Router::Stop(const absl::Status& status) {
  Ended ended;
  {
    absl::MutexLock lock(&mutex_);
    if (!stopped_.ok()) return;
    stopped_ = status;
    deadline_news_.NotifyAll();
    while (!queue_.empty()) EndWaiting(queue_.begin()->second.samples[0].id, status, ended);
  }
  CallEnded(ended);
}

RouterStatus Router::GetStatus() const {
  RouterStatus status;
  for (const Replica& replica : replicas_) {
    status.replicas.push_back(replica.status());
    AddTo(status.total, status.replicas.back());
  }
  absl::MutexLock lock(&mutex_);
  status.total.waiting += static_cast<int>(waiting_);
  return status;
}

void Router::DeadlineLoop() {
  while (true) {
    Ended ended;
    {
      absl::MutexLock lock(&mutex_);
      if (!stopped_.ok()) return;
      const SteadyTime now = SteadyTime::Now();
      while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        EndWaiting(deadlines_.begin()->second,
                   absl::DeadlineExceededError("the deadline passed in the queue"), ended);
      }
      if (ended.empty()) {
        wakes_at_ = deadlines_.empty() ? SteadyTime::InfiniteFuture() : deadlines_.begin()->first;
        deadline_news_.AwaitUntil(
            mutex_, wakes_at_,
            [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return DeadlineLoopHasNews(); });
        continue;
      }
    }
    CallEnded(ended);
    DispatchAll();
  }
}

}  // namespace sdar
