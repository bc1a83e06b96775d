// SPDX-License-Identifier: Apache-2.0
// A GenerationService in this process that plays a script.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

class FakeGenerationService final : public sdar::v1::GenerationService::Service {
 public:
  // What Generate sends, then how it ends. Set before the calls.
  std::vector<sdar::v1::GenerateResponse> script;
  grpc::Status end = grpc::Status::OK;
  bool waits_for_cancel = false;  // after the script, until the client goes
  sdar::v1::GetModelInfoResponse model;

  // Waits for its calls.
  ~FakeGenerationService() override {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  // Starts to serve on a free loopback port.
  void Start() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  const std::string& address() const { return address_; }

  sdar::v1::GenerateRequest last_request() const {
    const absl::MutexLock lock(&mutex_);
    return last_request_;
  }
  // True once a call has been cancelled; waits for it.
  bool WaitForCancelled() const {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&was_cancelled_), absl::Seconds(30));
  }
  // True once `count` calls of Generate have come; waits for them.
  bool WaitForCalls(int count) const {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return num_calls_ >= count; };
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30));
  }

 private:
  grpc::Status GetModelInfo(grpc::ServerContext*, const sdar::v1::GetModelInfoRequest*,
                            sdar::v1::GetModelInfoResponse* response) override {
    *response = model;
    return grpc::Status::OK;
  }

  grpc::Status Generate(grpc::ServerContext* context, const sdar::v1::GenerateRequest* request,
                        grpc::ServerWriter<sdar::v1::GenerateResponse>* writer) override {
    {
      const absl::MutexLock lock(&mutex_);
      last_request_ = *request;
      ++num_calls_;
    }
    for (const sdar::v1::GenerateResponse& response : script) writer->Write(response);
    // Writes fail once the client has gone; a delta without text says nothing to it.
    sdar::v1::GenerateResponse nothing;
    nothing.mutable_delta();
    while (waits_for_cancel && !context->IsCancelled()) writer->Write(nothing);
    const absl::MutexLock lock(&mutex_);
    was_cancelled_ = was_cancelled_ || context->IsCancelled();
    return end;
  }

  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  mutable absl::Mutex mutex_;
  sdar::v1::GenerateRequest last_request_ ABSL_GUARDED_BY(mutex_);
  int num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool was_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sdar
