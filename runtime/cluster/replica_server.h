// SPDX-License-Identifier: Apache-2.0
// Rank 0's side of the other replicas: sends them requests and hears how those go.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/grpcpp.h>

#include "common/steady_condition.h"
#include "runtime/cluster/router.h"
#include "sdar/v1/replica.grpc.pb.h"

namespace sdar {

// An internal gRPC service that the first rank of every replica but the first holds a stream to.
// Updates of a sequence reach its callback in order, on a thread of gRPC. Thread-safe; nothing but
// AwaitReplicas waits for a replica.
class ReplicaServer {
 public:
  // num_replicas: all of them, replica 0 included, which is rank 0's own. on_lost: called when a
  // stream breaks that was not told to stop, with Unavailable that names the replica, on a thread
  // of gRPC.
  ReplicaServer(int num_replicas, std::function<void(const absl::Status&)> on_lost);
  // Requires: the gRPC server that serves service() is gone.
  ~ReplicaServer();

  grpc::Service* service();

  // DeadlineExceeded names the replicas that have not connected.
  absl::Status AwaitReplicas(absl::Duration timeout);

  // What the router gets. Requires: 1 <= replica < num_replicas; this outlives the router.
  Replica AsReplica(int replica);

  // Tells every replica to end its sequences with `status` and to leave.
  void Stop(const absl::Status& status);

 private:
  class Service;
  class Stream;
  friend class Stream;

  // One of the other replicas.
  struct Remote {
    Stream* stream = nullptr;                // null: not connected yet, or gone
    std::deque<sdar::v1::ToReplica> orders;  // to be sent; the first may be on its way
    bool writing = false;
    bool stopping = false;
    uint64_t next_ticket = 1;
    absl::flat_hash_map<uint64_t, UpdateCallback> open;
    EngineStatus status;
  };

  absl::StatusOr<std::vector<SequenceId>> Submit(size_t replica, std::vector<Submission> samples);
  void Send(Remote& remote, sdar::v1::ToReplica order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext(Remote& remote) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Heard(Stream* stream, const sdar::v1::FromReplica& news);
  void Deliver(size_t replica, const sdar::v1::FromReplica::Update& update);
  void Written(size_t replica);
  void Gone(Stream* stream);

  const std::function<void(const absl::Status&)> on_lost_;
  std::unique_ptr<Service> service_;
  absl::Mutex mutex_;
  SteadyCondition connected_;
  std::vector<Remote> remotes_ ABSL_GUARDED_BY(mutex_);  // by replica; the first is not used
};

}  // namespace sdar
