// SPDX-License-Identifier: Apache-2.0
// A GenerateStream's call over gRPC.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/generate_stream.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

using GenerateReactor = grpc::ServerWriteReactor<sdar::v1::GenerateResponse>;

// Begins the call; gRPC owns the reactor from then on. on_done is called when the call is over.
GenerateReactor* BeginGrpcCall(const std::shared_ptr<GenerateStream>& stream,
                               std::function<void()> on_done);
// A call that ends with `status` at once.
GenerateReactor* RefuseGrpcCall(const absl::Status& status);

// The same code and message.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace sdar
