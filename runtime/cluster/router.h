// SPDX-License-Identifier: Apache-2.0
// The job's one queue: bounds what waits, orders it, and gives it to the replicas.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "runtime/cluster/prefix_affinity.h"
#include "runtime/cluster/retry_delay.h"
#include "runtime/engine/engine.h"
#include "runtime/request/generation_request.h"

namespace sdar {

// A group of ranks that holds the whole model, as the router sees it. All three are called without
// a lock of the router's, from any thread, and may call back before they return; none blocks.
struct Replica {
  // Engine::Submit's contract; the ids are the replica's own.
  std::function<absl::StatusOr<std::vector<SequenceId>>(std::vector<Submission>)> submit;
  std::function<void(SequenceId, const absl::Status&)> cancel;
  std::function<EngineStatus()> status;
};

struct RouterConfig {
  RequestLimits limits;
  int64_t max_waiting = 1024;                     // samples in the queue
  int64_t max_waiting_tokens = int64_t{1} << 20;  // given tokens in the queue, once per request
  int slots = 32;                                 // sequences that a replica runs at a time
  // A replica that may have a prompt's first pages is preferred unless it has so many more rows to
  // go than the least loaded one; negative: no preference.
  int64_t affinity_rows = 4096;
};

struct RouterStatus {
  EngineStatus total;  // sums; the queue counts as waiting; the latest last_step, longest step_age
  std::vector<EngineStatus> replicas;
};

// Strictly in order: higher priority first, then first come; while the first request finds no
// replica with room for all its samples, those after it wait too, so that none starves. A replica
// has room when what it was given and has not ended leaves enough of its slots, or when it has
// nothing. Among those with room the least loaded one is chosen, by rows (prompt and max_tokens of
// all that has not ended), but for prefix affinity. Thread-safe; never blocks but for its lock.
class Router {
 public:
  // Requires: at least one replica; what the replicas' functions use outlives the router's calls.
  Router(const RouterConfig& config, std::vector<Replica> replicas);
  // Requires: Stop, and that no replica calls back any more.
  ~Router();

  // Queues the samples of one request, all or none; they go to one replica together.
  // ValidateRequest's errors; ResourceExhausted with a RetryDelay when they would have to wait and
  // the queue is full; Stop's status once stopped. Each callback gets updates until one has an end,
  // on an engine's thread, or, for what ends in the queue, on the thread that ends it: the
  // router's own (deadlines) or the caller's of any of these functions, Submit included.
  absl::StatusOr<std::vector<SequenceId>> Submit(std::vector<Submission> samples);

  // Ends a sequence with `status`, waiting or running, if it has not ended: at once, or at its
  // replica's next step.
  void Cancel(SequenceId id, const absl::Status& status);

  // Ends what waits with `status`, and refuses with it what comes. What runs is the replicas'.
  void Stop(const absl::Status& status);

  RouterStatus GetStatus() const;
  const RouterConfig& config() const { return config_; }
  int num_replicas() const { return static_cast<int>(replicas_.size()); }

 private:
  using QueueKey = std::pair<int, uint64_t>;  // priority, negated; arrival
  struct Sample {
    SequenceId id;
    Submission submission;
  };
  struct Request {
    std::vector<Sample> samples;
    int64_t prompt_tokens = 0;
    std::vector<uint64_t> leading_pages;  // hashes
  };
  // A sequence that has not ended.
  struct Open {
    QueueKey queued;
    int replica = -1;                      // -1: it waits
    std::optional<SequenceId> at_replica;  // absent while it is handed over
    int64_t rows = 0;
    SteadyTime deadline;
    absl::Status cancelled;  // while it was handed over
  };
  struct Load {
    int64_t sequences = 0;
    int64_t rows = 0;
  };
  struct Dispatch {
    Request request;
    int replica = 0;
  };
  using OpenMap = absl::flat_hash_map<SequenceId, Open>;
  // Callbacks to be called without the lock.
  using Ended = std::vector<std::pair<UpdateCallback, absl::Status>>;

  absl::StatusOr<std::vector<SequenceId>> Enqueue(std::vector<Submission> samples, Request request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoom(int64_t samples, int64_t prompt_tokens) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<int> ChooseReplica(int64_t samples, absl::Span<const uint64_t> pages) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWaiting(SequenceId id, const absl::Status& status, Ended& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Dispatch> TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DispatchAll();
  void HandOver(Dispatch dispatch);
  void OnUpdate(SequenceId id, const UpdateCallback& callback, SequenceUpdate update);
  void Close(OpenMap::iterator open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeadlineLoop();
  bool DeadlineLoopHasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !stopped_.ok() || (!deadlines_.empty() && deadlines_.begin()->first < wakes_at_);
  }

  const RouterConfig config_;
  const std::vector<Replica> replicas_;

  mutable absl::Mutex mutex_;
  std::map<QueueKey, Request> queue_ ABSL_GUARDED_BY(mutex_);
  OpenMap open_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<SteadyTime, SequenceId>> deadlines_ ABSL_GUARDED_BY(mutex_);  // of the queue
  SteadyCondition deadline_news_;                    // for the deadlines' thread
  SteadyTime wakes_at_ ABSL_GUARDED_BY(mutex_);      // until when the deadlines' thread sleeps
  std::vector<Load> loads_ ABSL_GUARDED_BY(mutex_);  // by replica
  PrefixAffinity affinity_ ABSL_GUARDED_BY(mutex_);
  EndRate end_rate_ ABSL_GUARDED_BY(mutex_);
  int64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;         // samples in the queue
  int64_t waiting_tokens_ ABSL_GUARDED_BY(mutex_) = 0;  // their prompts'
  uint64_t next_arrival_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool dispatching_ ABSL_GUARDED_BY(mutex_) = false;  // a thread is in DispatchAll's loop
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);      // not OK once stopped
  std::thread deadline_thread_;
};

}  // namespace sdar
