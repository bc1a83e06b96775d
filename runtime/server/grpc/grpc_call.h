// SPDX-License-Identifier: Apache-2.0
// A GenerateStream's call over gRPC.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/generate_stream.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

using GenerateReactor = grpc::ServerWriteReactor<sdar::v1::GenerateResponse>;

// The same code and message.
grpc::Status ToGrpc(const absl::Status& status);

// A call that begins before its stream is there, since the text that the stream needs takes its
// time. gRPC deletes it. One of Begin and Refuse has to be called. Thread-safe.
template <typename Reactor>
class GrpcStreamCall : public Reactor {
 public:
  // Carries `stream`. on_done is called when the call is over.
  void Begin(const std::shared_ptr<GenerateStream>& stream, std::function<void()> on_done) {
    bool cancelled;
    {
      absl::MutexLock lock(&mutex_);
      stream_ = stream;
      cancelled = cancelled_;
    }
    StreamSink sink = MakeSink();
    stream->Begin(std::move(sink), std::move(on_done));
    if (cancelled) stream->Cancelled();
  }

  // Ends the call with `status`, also one that has begun.
  void Refuse(const absl::Status& status) {
    if (const auto begun = stream()) {
      begun->Fail(status);
    } else {
      this->Finish(ToGrpc(status));
    }
  }

  void OnCancel() override {
    std::shared_ptr<GenerateStream> begun;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      begun = stream_;
    }
    if (begun != nullptr) begun->Cancelled();
  }

  void OnDone() override {
    if (const auto begun = stream()) begun->Done();
    delete this;
  }

 protected:
  ~GrpcStreamCall() override = default;

  std::shared_ptr<GenerateStream> stream() const {
    absl::MutexLock lock(&mutex_);
    return stream_;
  }

 private:
  virtual StreamSink MakeSink() = 0;

  mutable absl::Mutex mutex_;
  std::shared_ptr<GenerateStream> stream_ ABSL_GUARDED_BY(mutex_);  // null before Begin
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

// Generate: every response is written as it comes.
class GrpcCall final : public GrpcStreamCall<GenerateReactor> {
 public:
  void OnWriteDone(bool ok) override { stream()->WriteDone(ok); }

 private:
  StreamSink MakeSink() override;
};

// Score: the answer is sent once it is whole.
class GrpcScoreCall final : public GrpcStreamCall<grpc::ServerUnaryReactor> {
 public:
  // response: gRPC's, for as long as the call is not over.
  explicit GrpcScoreCall(sdar::v1::ScoreResponse* response) : response_(response) {}

  // Where the stream puts the answer together.
  const std::shared_ptr<sdar::v1::ScoreResponse>& scores() const { return scores_; }

 private:
  StreamSink MakeSink() override;

  sdar::v1::ScoreResponse* const response_;
  const std::shared_ptr<sdar::v1::ScoreResponse> scores_ =
      std::make_shared<sdar::v1::ScoreResponse>();
};

}  // namespace sdar
