// SPDX-License-Identifier: Apache-2.0
// One call that generates or scores: carries its samples' updates to the client, over whatever
// transport.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "common/steady_time.h"
#include "runtime/cluster/router.h"
#include "runtime/server/call_record.h"
#include "runtime/server/traces/call_trace.h"
#include "runtime/server/traces/otlp_exporter.h"
#include "runtime/text/tokenizer.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// The transport's end of a call. Both are called under the stream's lock, so they only start what
// they are named for, and never call back into the stream.
struct StreamSink {
  // Sends a response, which stays where it is until WriteDone.
  std::function<void(const sdar::v1::GenerateResponse&)> write;
  // Ends the call. Nothing is written after it; OnDone follows.
  std::function<void(const absl::Status&)> finish;
};

// Where updates meet the call: kept alive by whoever may still use it, while the transport comes
// and goes. Updates that a slow reader has not taken are joined, and bounded by bytes: beyond that
// the call fails, so that a reader that stops holds no slots and pages. Thread-safe; never blocks.
class GenerateStream : public std::enable_shared_from_this<GenerateStream> {
 public:
  struct Options {
    std::string request_id;
    std::string trace_id;  // for the log; empty: none
    // Where its spans go, and what they say; absent: nobody wants them.
    std::optional<CallTrace::Call> trace;
    OtlpExporter* traces = nullptr;
    SteadyTime arrival;
    int64_t prompt_tokens = 0;
    int num_samples = 1;
    int64_t max_tokens = 0;  // of a sample
    bool with_logprobs = false;
    // A call that scores: its whole answer, which is complete when the sink's `finish` gets OK.
    // Nothing is written to the sink. Null: the call generates.
    std::shared_ptr<sdar::v1::ScoreResponse> scores;
    std::vector<uint64_t> seeds;         // one per sample, reported at its end
    size_t max_backlog_bytes = 1 << 20;  // that wait, not counting what the transport has taken
  };

  // Requires: what is passed by reference outlives the stream.
  GenerateStream(Options options, Router& router, const Tokenizer& tokenizer,
                 ServerMetrics& metrics);

  // The call begins. Once; on_done is called when it is over (Done).
  void Begin(StreamSink sink, std::function<void()> on_done);
  // What the sink was given to write is sent; not `ok`: the client is gone.
  void WriteDone(bool ok);
  // The client has ended the call.
  void Cancelled() { Fail(absl::CancelledError("cancelled by the client")); }
  // The transport is through with the call, and the sink is not called any more.
  void Done();

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
  struct Waiting {
    sdar::v1::GenerateResponse response;
    size_t bytes = 0;
  };

  void Take(int index, const SequenceUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeScores(const SequenceUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Push(sdar::v1::GenerateResponse response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Join(sdar::v1::GenerateResponse& response, size_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops what waits. True for the first failure.
  bool SetFailed(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CancelSequences(const absl::Status& status);
  std::vector<Span> TakeSpans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogEnd(const Json& summary) const;

  sdar::v1::GenerateResponse NewResponse() const;
  void FillDelta(int index, const SequenceUpdate& update, sdar::v1::Delta& delta) const;
  void FillProvisional(int index, const ProvisionalBlock& block,
                       sdar::v1::Provisional& provisional) const;
  void FillFinished(int index, const SequenceEnd& end, sdar::v1::Finished& finished) const;

  const Options options_;
  std::string trace_id_;  // for the log; constant once constructed
  Router& router_;
  const Tokenizer& tokenizer_;
  std::function<void()> on_done_;

  mutable absl::Mutex mutex_;
  StreamSink sink_ ABSL_GUARDED_BY(mutex_);  // empty before the call begins and once it is over
  std::deque<Waiting> queue_ ABSL_GUARDED_BY(mutex_);
  size_t backlog_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the queue, less what is on its way
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;      // queue_.front() is on its way
  bool sent_ ABSL_GUARDED_BY(mutex_) = false;         // something was handed to the transport
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;     // Finish was called
  absl::Status status_ ABSL_GUARDED_BY(mutex_);       // why the call failed
  int samples_left_ ABSL_GUARDED_BY(mutex_);
  CallRecord record_ ABSL_GUARDED_BY(mutex_);
  std::optional<CallTrace> trace_ ABSL_GUARDED_BY(mutex_);
  std::vector<SequenceId> sequences_ ABSL_GUARDED_BY(mutex_);
  absl::Status cancelled_ ABSL_GUARDED_BY(mutex_);  // not OK: what still comes is cancelled
};

}  // namespace sdar
