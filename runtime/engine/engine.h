// SPDX-License-Identifier: Apache-2.0
// The loop of rank 0: takes requests, plans steps, has all ranks run them, applies the outcome. And
// the loop of the other ranks, which do as the plans say.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_time.h"
#include "runtime/schedule/scheduler.h"
#include "runtime/schedule/step_counters.h"
#include "runtime/step/plan_record.h"
#include "runtime/step/step_channel.h"
#include "runtime/step/worker.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

struct EngineConfig {
  SchedulerConfig scheduler;
  RequestLimits limits;
  TokenId mask_token = kNoToken;
};

struct EngineStatus {
  int running = 0;
  int waiting = 0;
  int free_slots = 0;
  int total_slots = 0;
  int64_t free_pages = 0;
  int64_t total_pages = 0;
  uint64_t finished_steps = 0;
  SteadyTime last_step = SteadyTime::InfinitePast();  // when the last step ended
  absl::Duration step_age;                            // of the step in progress; zero between steps
  int64_t cached_pages = 0;                           // pages in the prefix cache, in use or not
  uint64_t prefix_cache_queried_tokens = 0;           // prompt tokens that were looked up in it
  uint64_t prefix_cache_hit_tokens = 0;               // of these, those found
  uint64_t preemptions = 0;
  StepCounters steps;
};

// Ids in [0, vocab_size) that no position may choose, as ranges: the mask token, and ids without a
// tokenizer entry.
std::vector<std::pair<TokenId, TokenId>> ForbiddenIds(const Tokenizer& tokenizer,
                                                      TokenId mask_token, int64_t vocab_size);

class Engine {
 public:
  // Requires: everything passed outlives the engine.
  Engine(const EngineConfig& config, const Tokenizer& tokenizer, Worker& worker,
         StepChannel& channel);

  // Queues the samples of one request, all or none; those after the first share its prompt's
  // pages. ValidateRequest's errors; Unavailable once stopping. The callbacks get updates on the
  // engine thread until one has an end. Bounds no queue: that is the Router's. Any thread.
  absl::StatusOr<std::vector<SequenceId>> Submit(std::vector<Submission> samples);

  // Ends a sequence with `status` at the next step, if it has not ended. Any thread.
  void Cancel(SequenceId id, const absl::Status& status);

  // Makes Run end all sequences with `status` and return. Any thread.
  void Stop(const absl::Status& status);

  // Records every plan and its summaries from now on. Before Run.
  void RecordTo(std::unique_ptr<PlanRecorder> recorder) { recorder_ = std::move(recorder); }

  // Runs until Stop on the thread that owns the communicator. An error is final: the ranks may no
  // longer agree.
  absl::Status Run();

  // Any thread.
  EngineStatus GetStatus() const;
  const EngineConfig& config() const { return config_; }
  // How long the step in progress has been running; zero between steps. Any thread.
  absl::Duration CurrentStepAge() const;

 private:
  // Waits for news or work; false when it is time to leave.
  bool TakeInbox();
  absl::StatusOr<StepResult> RunPlan(sdar::v1::StepPlan& plan);
  void Record(const sdar::v1::StepPlan& plan, const StepResult& result);
  absl::Status RunStep(sdar::v1::StepPlan& plan, SteadyTime begin);
  absl::StatusOr<ResolvedLogits> Resolve(absl::Span<const int32_t> rows);
  absl::Status GoIdle();
  void PublishStatus();
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !submitted_.empty() || !cancelled_.empty() || stopping_;
  }

  EngineConfig config_;
  const Tokenizer& tokenizer_;
  Worker& worker_;
  StepChannel& channel_;
  Scheduler scheduler_;
  std::unique_ptr<PlanRecorder> recorder_;  // null: nothing is recorded
  bool idle_ = true;                        // the ranks were told to sleep
  std::atomic<int64_t> step_started_ns_{0};
  std::atomic<uint64_t> next_sequence_{1};

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Sequence>> submitted_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<SequenceId, absl::Status>> cancelled_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status stop_status_ ABSL_GUARDED_BY(mutex_);
  EngineStatus status_ ABSL_GUARDED_BY(mutex_);
};

// The other ranks: executes plans until SHUTDOWN. Errors are final. Blocks.
absl::Status RunWorkerLoop(Worker& worker, StepChannel& channel,
                           const std::function<void(uint64_t finished_steps)>& on_step);

}  // namespace sdar
