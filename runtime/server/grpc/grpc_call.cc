// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_call.h"

#include <string>
#include <utility>

namespace sdar {

void GrpcCall::Begin(const std::shared_ptr<GenerateStream>& stream, std::function<void()> on_done) {
  bool cancelled;
  {
    absl::MutexLock lock(&mutex_);
    stream_ = stream;
    cancelled = cancelled_;
  }
  stream->Begin({[this](const sdar::v1::GenerateResponse& response) { StartWrite(&response); },
                 [this](const absl::Status& status) { Finish(ToGrpc(status)); }},
                std::move(on_done));
  if (cancelled) stream->Cancelled();
}

void GrpcCall::Refuse(const absl::Status& status) {
  if (const auto begun = stream()) {
    begun->Fail(status);
  } else {
    Finish(ToGrpc(status));
  }
}

std::shared_ptr<GenerateStream> GrpcCall::stream() const {
  absl::MutexLock lock(&mutex_);
  return stream_;
}

void GrpcCall::OnWriteDone(bool ok) { stream()->WriteDone(ok); }

void GrpcCall::OnCancel() {
  std::shared_ptr<GenerateStream> begun;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    begun = stream_;
  }
  if (begun != nullptr) begun->Cancelled();
}

void GrpcCall::OnDone() {
  if (const auto begun = stream()) begun->Done();
  delete this;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace sdar
