// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_call.h"

#include <string>

namespace sdar {

StreamSink GrpcCall::MakeSink() {
  return {[this](const sdar::v1::GenerateResponse& response) { StartWrite(&response); },
          [this](const absl::Status& status) { Finish(ToGrpc(status)); }};
}

StreamSink GrpcScoreCall::MakeSink() {
  return {[](const sdar::v1::GenerateResponse&) {},
          [this](const absl::Status& status) {
            // Under the stream's lock, as all that fills the scores.
            if (status.ok()) response_->Swap(scores_.get());
            Finish(ToGrpc(status));
          }};
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace sdar
