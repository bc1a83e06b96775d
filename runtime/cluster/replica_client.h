// SPDX-License-Identifier: Apache-2.0
// A replica's side of rank 0's router: takes requests for its engine and reports how they go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "common/steady_condition.h"
#include "runtime/cluster/router.h"
#include "sdar/v1/replica.grpc.pb.h"

namespace sdar {

// Runs on the first rank of every replica but the first, next to its engine. Updates that happen
// while a message is on its way travel together in the next one. Thread-safe.
class ReplicaClient {
 public:
  // engine: this rank's. stop: ends it (Engine::Stop). Requires: both can be called until this is
  // destroyed.
  ReplicaClient(int replica, const std::string& address, Replica engine,
                std::function<void(const absl::Status&)> stop);
  // Requires: Finish, or nobody cares any more what was not reported.
  ~ReplicaClient();

  // Sends what is still to be said and ends the stream. Blocks until rank 0 has it all, or is gone.
  // Requires: the engine has ended all it was given.
  void Finish();

 private:
  void ReadLoop();
  void WriteLoop();
  void Take(const sdar::v1::SubmitSequences& order);
  void Cancel(const sdar::v1::CancelSequence& order);
  void Report(uint64_t ticket, const SequenceUpdate& update);
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closing_ || !updates_.empty();
  }

  const int replica_;
  const Replica engine_;
  const std::function<void(const absl::Status&)> stop_;
  absl::Mutex mutex_;
  SteadyCondition news_;
  absl::flat_hash_map<uint64_t, SequenceId> open_ ABSL_GUARDED_BY(mutex_);      // by ticket
  std::vector<sdar::v1::FromReplica::Update> updates_ ABSL_GUARDED_BY(mutex_);  // to be sent
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<sdar::v1::ReplicaService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<sdar::v1::FromReplica, sdar::v1::ToReplica>> stream_;
  std::thread reader_;
  std::thread writer_;
};

}  // namespace sdar
