// SPDX-License-Identifier: Apache-2.0
// Asks a served model over gRPC and prints the answer as it comes:
//   build/release/bin/example-generate 127.0.0.1:50051 What is the capital of Chile?
#include <chrono>
#include <iostream>
#include <string>

#include <grpcpp/grpcpp.h>

#include "sdar/v1/generation.grpc.pb.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: example-generate HOST:PORT QUESTION..." << std::endl;
    return 2;
  }
  std::string question = argv[2];
  for (int i = 3; i < argc; ++i) question += std::string(" ") + argv[i];

  sdar::v1::GenerateRequest request;
  sdar::v1::ChatMessage& message = *request.mutable_chat()->add_messages();
  message.set_role("user");
  message.set_content(question);
  request.mutable_sampling()->set_temperature(0);

  const auto stub = sdar::v1::GenerationService::NewStub(
      grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;  // destroying it, or TryCancel, cancels the call
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  const auto reader = stub->Generate(&context, request);
  sdar::v1::GenerateResponse response;
  while (reader->Read(&response)) {
    if (response.has_delta()) std::cout << response.delta().text() << std::flush;
    if (response.has_finished()) {
      std::cerr << "\n[" << response.finished().usage().completion_tokens() << " tokens in "
                << response.finished().usage().forward_passes() << " forward passes]" << std::endl;
    }
  }
  const grpc::Status status = reader->Finish();
  if (status.ok()) return 0;
  std::cerr << status.error_message() << std::endl;
  return 1;
}
