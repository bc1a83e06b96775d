// SPDX-License-Identifier: Apache-2.0
// A replica without an engine: it keeps what it is given until the test ends it. Thread-safe.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

#include "runtime/cluster/router.h"

namespace sdar {

class FakeReplica {
 public:
  Replica AsReplica() {
    return {[this](std::vector<Submission> samples) { return Submit(std::move(samples)); },
            [this](SequenceId id, const absl::Status& status) { End(id.value(), status); },
            [this] {
              absl::MutexLock lock(&mutex_);
              EngineStatus status;
              status.running = static_cast<int>(running_.size());
              status.total_slots = 4;
              status.finished_steps = 10;
              return status;
            }};
  }

  // Refuses what comes from now on.
  void Refuse(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    refusal_ = status;
  }
  // Ends what comes from now on before submit returns.
  void EndAtOnce() {
    absl::MutexLock lock(&mutex_);
    at_once_ = true;
  }

  // The first token of every prompt it was given, in order: how tests name their requests.
  std::vector<TokenId> given() const {
    absl::MutexLock lock(&mutex_);
    return given_;
  }
  size_t num_running() const {
    absl::MutexLock lock(&mutex_);
    return running_.size();
  }

  // Ends the oldest sequence.
  void EndOldest() {
    uint64_t oldest = 0;
    {
      absl::MutexLock lock(&mutex_);
      if (running_.empty()) return;
      oldest = running_.begin()->first;
    }
    End(oldest, absl::OkStatus());
  }

  void End(uint64_t id, const absl::Status& status) {
    UpdateCallback callback;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = running_.find(id);
      if (found == running_.end()) return;
      callback = std::move(found->second);
      running_.erase(found);
    }
    CallEnd(callback, status);
  }

 private:
  static void CallEnd(const UpdateCallback& callback, const absl::Status& status) {
    SequenceUpdate update;
    update.end.emplace();
    update.end->status = status;
    callback(std::move(update));
  }

  absl::StatusOr<std::vector<SequenceId>> Submit(std::vector<Submission> samples) {
    std::vector<SequenceId> ids;
    bool at_once;
    {
      absl::MutexLock lock(&mutex_);
      if (!refusal_.ok()) return refusal_;
      at_once = at_once_;
      for (Submission& sample : samples) {
        given_.push_back(sample.request.prompt[0]);
        ids.emplace_back(next_id_++);
        if (!at_once) running_[ids.back().value()] = std::move(sample.callback);
      }
    }
    if (!at_once) return ids;
    for (Submission& sample : samples) CallEnd(sample.callback, absl::OkStatus());
    return ids;
  }

  mutable absl::Mutex mutex_;
  std::map<uint64_t, UpdateCallback> running_ ABSL_GUARDED_BY(mutex_);
  std::vector<TokenId> given_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  bool at_once_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 100;
};

}  // namespace sdar
