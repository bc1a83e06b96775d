// SPDX-License-Identifier: Apache-2.0
// A GenerateStream's call over gRPC.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/generate_stream.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

using GenerateReactor = grpc::ServerWriteReactor<sdar::v1::GenerateResponse>;

// Begins before its stream is there, since the text that the stream needs takes its time. gRPC
// deletes it. One of Begin and Refuse has to be called. Thread-safe.
class GrpcCall final : public GenerateReactor {
 public:
  // Carries `stream`. on_done is called when the call is over.
  void Begin(const std::shared_ptr<GenerateStream>& stream, std::function<void()> on_done);
  // Ends the call with `status`, also one that has begun.
  void Refuse(const absl::Status& status);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  std::shared_ptr<GenerateStream> stream() const;

  mutable absl::Mutex mutex_;
  std::shared_ptr<GenerateStream> stream_ ABSL_GUARDED_BY(mutex_);  // null before Begin
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

// The same code and message.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace sdar
