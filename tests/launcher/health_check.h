// SPDX-License-Identifier: Apache-2.0
// grpc.health.v1.Health as its few bytes: Debian packages no description of it.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace sdar {

class HealthCheck {
 public:
  explicit HealthCheck(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {}

  // Whether Check answers SERVING for the whole server.
  bool IsServing() {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const grpc::Slice no_bytes;
    const grpc::ByteBuffer empty(&no_bytes, 1);  // no service named
    auto call = stub_.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", empty, &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    grpc::Slice bytes;
    if (!status.ok() || !answer.DumpToSingleSlice(&bytes).ok()) return false;
    return std::string(bytes.begin(), bytes.end()) == "\x08\x01";  // status = SERVING
  }

 private:
  grpc::GenericStub stub_;
};

}  // namespace sdar
