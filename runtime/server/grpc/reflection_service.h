// SPDX-License-Identifier: Apache-2.0
// Server reflection, version 1: what lets clients call the service without its .proto file.
#pragma once

#include "grpc/reflection/v1/reflection.grpc.pb.h"

namespace sdar {

// The answer to one request, from the messages and services that the program contains. NOT_FOUND
// and UNIMPLEMENTED are answers too, with the request's error. Pure; any thread.
grpc::reflection::v1::ServerReflectionResponse Reflect(
    const grpc::reflection::v1::ServerReflectionRequest& request);

// Answers each request of a stream before it reads the next one. Thread-safe; never blocks.
class ReflectionService : public grpc::reflection::v1::ServerReflection::CallbackService {
 public:
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;

  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* context) override;
};

}  // namespace sdar
