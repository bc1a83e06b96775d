// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc_call.h"

#include <string>
#include <utility>

namespace sdar {
namespace {

class StreamReactor : public GenerateReactor {
 public:
  explicit StreamReactor(std::shared_ptr<GenerateStream> stream) : stream_(std::move(stream)) {}
  void OnWriteDone(bool ok) override { stream_->WriteDone(ok); }
  void OnCancel() override { stream_->Cancelled(); }
  void OnDone() override {
    stream_->Done();
    delete this;
  }

 private:
  std::shared_ptr<GenerateStream> stream_;
};

class RefusedCall : public GenerateReactor {
 public:
  explicit RefusedCall(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

GenerateReactor* BeginGrpcCall(const std::shared_ptr<GenerateStream>& stream,
                               std::function<void()> on_done) {
  auto* reactor = new StreamReactor(stream);
  stream->Begin(
      {[reactor](const sdar::v1::GenerateResponse& response) { reactor->StartWrite(&response); },
       [reactor](const absl::Status& status) { reactor->Finish(ToGrpc(status)); }},
      std::move(on_done));
  return reactor;
}

GenerateReactor* RefuseGrpcCall(const absl::Status& status) { return new RefusedCall(status); }

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace sdar
