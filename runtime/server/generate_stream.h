// SPDX-License-Identifier: Apache-2.0
// One Generate call: carries its samples' updates to the client.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "runtime/engine/router.h"
#include "runtime/text/tokenizer.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// Where updates meet the call: kept alive by whoever may still use it, while the gRPC reactor comes
// and goes. Updates that a slow reader has not taken are joined, and bounded by bytes: beyond that
// the call fails, so that a reader that stops holds no slots and pages. Thread-safe; never blocks.
class GenerateStream : public std::enable_shared_from_this<GenerateStream> {
 public:
  struct Options {
    std::string request_id;
    int num_samples = 1;
    bool with_logprobs = false;
    std::vector<uint64_t> seeds;         // one per sample, reported at its end
    size_t max_backlog_bytes = 1 << 20;  // that wait, beside what the transport has taken
  };

  // Requires: router and tokenizer outlive the stream.
  GenerateStream(Options options, Router& router, const Tokenizer& tokenizer);

  // The reactor gRPC talks to; owned by gRPC from then on. Call once. on_done is called when the
  // call is over.
  grpc::ServerWriteReactor<sdar::v1::GenerateResponse>* MakeReactor(std::function<void()> on_done);

  // The sequence that makes sample `index`, so that it can be cancelled. Before its first update or
  // after.
  void AddSequence(SequenceId id);
  // News of sample `index`. One thread at a time, in order.
  void Update(int index, const SequenceUpdate& update);
  // Ends the call with `status`, whatever still waits to be sent, and cancels what runs. The client
  // gets Aborted instead of Unavailable where something was sent: it cannot just ask again. False
  // when the call was over or failing already.
  bool Fail(const absl::Status& status);
  const std::string& request_id() const { return options_.request_id; }
  // The client has got, or is getting, the call's status.
  bool ended() const;

 private:
  class Reactor;

  struct Waiting {
    sdar::v1::GenerateResponse response;
    size_t bytes = 0;
  };

  void Take(int index, const SequenceUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Push(sdar::v1::GenerateResponse response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Join(sdar::v1::GenerateResponse& response, size_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops what waits. True for the first failure.
  bool SetFailed(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnWriteDone(bool ok);
  void OnCancel();
  void OnDone();
  void CancelSequences(const absl::Status& status);

  sdar::v1::GenerateResponse NewResponse() const;
  void FillDelta(int index, const SequenceUpdate& update, sdar::v1::Delta& delta) const;
  void FillProvisional(int index, const ProvisionalBlock& block,
                       sdar::v1::Provisional& provisional) const;
  void FillFinished(int index, const SequenceEnd& end, sdar::v1::Finished& finished) const;

  const Options options_;
  Router& router_;
  const Tokenizer& tokenizer_;
  std::function<void()> on_done_;

  mutable absl::Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null once the call is over
  std::deque<Waiting> queue_ ABSL_GUARDED_BY(mutex_);
  size_t backlog_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the queue, less what is on its way
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;      // queue_.front() is on its way
  bool sent_ ABSL_GUARDED_BY(mutex_) = false;         // something was handed to the transport
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;     // Finish was called
  absl::Status status_ ABSL_GUARDED_BY(mutex_);       // why the call failed
  int samples_left_ ABSL_GUARDED_BY(mutex_);
  std::vector<SequenceId> sequences_ ABSL_GUARDED_BY(mutex_);
  absl::Status cancelled_ ABSL_GUARDED_BY(mutex_);  // not OK: what still comes is cancelled
};

}  // namespace sdar
