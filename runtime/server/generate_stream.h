// SPDX-License-Identifier: Apache-2.0
// One Generate call: carries its samples' updates from the engine thread to the client.
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
// and goes. Updates that a slow reader has not taken are joined, so that what waits is bounded by
// the output itself. Thread-safe; never blocks.
class GenerateStream : public std::enable_shared_from_this<GenerateStream> {
 public:
  struct Options {
    std::string request_id;
    int num_samples = 1;
    bool with_logprobs = false;
    std::vector<uint64_t> seeds;  // one per sample, reported at its end
  };

  // Requires: router and tokenizer outlive the stream.
  GenerateStream(Options options, Router& router, const Tokenizer& tokenizer);

  // The reactor gRPC talks to; owned by gRPC from then on. Call once. on_done is called when the
  // call is over.
  grpc::ServerWriteReactor<sdar::v1::GenerateResponse>* MakeReactor(std::function<void()> on_done);

  // The sequence that makes sample `index`, so that it can be cancelled. Before its first update or
  // after.
  void AddSequence(SequenceId id);
  // News of sample `index`; engine thread.
  void Update(int index, SequenceUpdate update);
  // Ends the call with `status`, whatever still waits to be sent, and cancels what runs.
  void Fail(const absl::Status& status);

 private:
  class Reactor;

  void Push(sdar::v1::GenerateResponse response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnWriteDone(bool ok);
  void OnCancel();
  void OnDone();
  void CancelSequences();

  sdar::v1::GenerateResponse NewResponse() const;
  void FillDelta(int index, const SequenceUpdate& update, sdar::v1::Delta& delta) const;
  void FillProvisional(int index, const ProvisionalBlock& block,
                       sdar::v1::Provisional& provisional) const;
  void FillFinished(int index, const SequenceEnd& end, sdar::v1::Finished& finished) const;

  const Options options_;
  Router& router_;
  const Tokenizer& tokenizer_;
  std::function<void()> on_done_;

  absl::Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null once the call is over
  std::deque<sdar::v1::GenerateResponse> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;   // queue_.front() is on its way
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // Finish was called
  absl::Status status_ ABSL_GUARDED_BY(mutex_);    // why the call failed
  int samples_left_ ABSL_GUARDED_BY(mutex_);
  std::vector<SequenceId> sequences_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sdar
