// SPDX-License-Identifier: Apache-2.0
// Heartbeats between the ranks, so that a dead or stuck rank ends the job instead of hanging it,
// and the doorbell that wakes idle ranks. Talks over gRPC, apart from the collectives: it never
// calls one.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/grpcpp.h>

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "runtime/step/doorbell.h"
#include "sdar/v1/watchdog.grpc.pb.h"

namespace sdar {

struct WatchdogOptions {
  absl::Duration beat_interval = absl::Milliseconds(500);
  absl::Duration max_silence = absl::Seconds(5);    // then a rank counts as lost
  absl::Duration step_timeout = absl::Seconds(60);  // a step that takes longer counts as stuck
};

// How far a rank is.
struct StepProgress {
  uint64_t finished_steps = 0;
  absl::Duration step_age;     // of the step in progress; zero between steps
  absl::Status collectives{};  // what the rank's communicators say of themselves
};

// What rank 0 knows of a rank.
struct RankHealth {
  uint64_t finished_steps = 0;
  SteadyTime last_heard;
  absl::Duration step_age;
};

// Rank 0's side: an internal gRPC service that every other rank holds a stream to. Thread-safe.
class WatchdogServer {
 public:
  // ranks_per_group: ranks r with the same r / ranks_per_group ring each other. progress: rank 0's.
  // on_failure is called once, on a thread of the watchdog, with Unavailable that names the rank,
  // or Aborted for a step of whatever rank that is stuck, or what rank 0's collectives have met.
  WatchdogServer(const WatchdogOptions& options, int num_ranks, int ranks_per_group,
                 std::function<StepProgress()> progress,
                 std::function<void(const absl::Status&)> on_failure);
  ~WatchdogServer();

  // Serves on `host` at a free port, with the `other` service where there is one, and returns the
  // address. Unavailable when it cannot listen. Requires: `other` outlives this.
  absl::StatusOr<std::string> Start(const std::string& host, grpc::Service* other = nullptr);
  // Waits until every rank has connected, then starts to watch. DeadlineExceeded names the ranks
  // that have not.
  absl::Status AwaitRanks(absl::Duration timeout);
  // From now on ranks may leave.
  void StopWatching();

  // Tells the ranks of rank 0's group that there were `count` rings.
  void Ring(uint64_t count);
  // Per rank, rank 0 included as heard now.
  std::vector<RankHealth> Health() const;

 private:
  class RankStream;
  class Service;
  friend class RankStream;

  void Heard(RankStream* stream, const sdar::v1::Heartbeat& beat);
  void Gone(RankStream* stream);
  void MonitorLoop();
  void RingGroup(size_t group, uint64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendToAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t GroupOf(int rank) const { return static_cast<size_t>(rank / ranks_per_group_); }
  absl::Status FindFailure() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const WatchdogOptions options_;
  const int num_ranks_;
  const int ranks_per_group_;
  const std::function<StepProgress()> progress_;
  const std::function<void(const absl::Status&)> on_failure_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::thread monitor_;

  mutable absl::Mutex mutex_;
  SteadyCondition changed_;                                   // streams_, lost_rank_, leaving_
  std::vector<RankStream*> streams_ ABSL_GUARDED_BY(mutex_);  // by rank; null: not connected
  std::vector<RankHealth> health_ ABSL_GUARDED_BY(mutex_);
  int lost_rank_ ABSL_GUARDED_BY(mutex_) = -1;           // whose stream broke
  std::vector<uint64_t> rings_ ABSL_GUARDED_BY(mutex_);  // by group
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
};

// Another rank's side. Thread-safe.
class WatchdogClient {
 public:
  // doorbell: rung when the first rank of this rank's group rings. progress: this rank's, asked at
  // every beat. on_lost is called once, on a thread of the watchdog, when rank 0 is silent or gone,
  // or with what this rank's collectives have met.
  WatchdogClient(const WatchdogOptions& options, int rank, const std::string& address,
                 Doorbell& doorbell, std::function<StepProgress()> progress,
                 std::function<void(const absl::Status&)> on_lost);
  ~WatchdogClient();

  // First rank of a group: tells the others that there were `count` rings, by way of rank 0.
  void Ring(uint64_t count);
  // From now on rank 0 may leave.
  void StopWatching() { leaving_.store(true); }

 private:
  void ReadLoop();
  void BeatLoop();
  void Lose(const absl::Status& status);
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closing_ || rings_ > rings_sent_;
  }

  const WatchdogOptions options_;
  const int rank_;
  Doorbell& doorbell_;
  const std::function<StepProgress()> progress_;
  const std::function<void(const absl::Status&)> on_lost_;
  std::atomic<int64_t> last_heard_ns_;
  std::atomic<bool> leaving_{false};
  std::atomic<bool> lost_{false};
  absl::Mutex mutex_;
  SteadyCondition news_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t rings_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t rings_sent_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<sdar::v1::WatchdogService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<sdar::v1::Heartbeat, sdar::v1::WatchdogEvent>> stream_;
  std::thread reader_;
  std::thread beater_;
};

}  // namespace sdar
