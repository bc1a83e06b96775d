// SPDX-License-Identifier: Apache-2.0
// The service over gRPC: sdar.v1.GenerationService.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/generation_service.h"
#include "runtime/server/grpc/grpc_call.h"
#include "runtime/server/text_workers.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// Reactions check access and hand texts to the workers; they never wait. Thread-safe.
class GrpcGateway final : public sdar::v1::GenerationService::CallbackService {
 public:
  // Requires: both outlive the gateway and its calls.
  GrpcGateway(GenerationService& service, TextWorkers& workers)
      : service_(service), workers_(workers) {}

  GenerateReactor* Generate(grpc::CallbackServerContext* context,
                            const sdar::v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const sdar::v1::ScoreRequest* request,
                                  sdar::v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const sdar::v1::AbortRequest* request,
                                  sdar::v1::AbortResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const sdar::v1::TokenizeRequest* request,
                                     sdar::v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const sdar::v1::DetokenizeRequest* request,
                                       sdar::v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const sdar::v1::GetModelInfoRequest* request,
                                         sdar::v1::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const sdar::v1::GetStatusRequest* request,
                                      sdar::v1::GetStatusResponse* response) override;

 private:
  absl::Status CheckAccess(const grpc::CallbackServerContext& context) const;
  using Translation = std::function<absl::StatusOr<GenerationCall>()>;

  absl::StatusOr<GenerationCall> Translate(const grpc::CallbackServerContext& context,
                                           const sdar::v1::GenerateRequest& request) const;
  absl::StatusOr<GenerationCall> TranslateScore(
      const grpc::CallbackServerContext& context, const sdar::v1::ScoreRequest& request,
      const std::shared_ptr<sdar::v1::ScoreResponse>& scores) const;
  // Has a worker translate a call whose text takes `bytes`, and opens its stream.
  template <typename Call>
  void Start(grpc::CallbackServerContext& context, size_t bytes, Translation translation,
             Call& call);
  template <typename Call>
  void Begin(grpc::CallbackServerContext& context, const Translation& translation, Call& call);
  absl::Status TokenizeInto(const sdar::v1::TokenizeRequest& request,
                            sdar::v1::TokenizeResponse& response) const;
  absl::Status DetokenizeInto(const sdar::v1::DetokenizeRequest& request,
                              sdar::v1::DetokenizeResponse& response) const;
  // Has a worker do what takes a text of `bytes` and ends a call.
  grpc::ServerUnaryReactor* RunUnary(grpc::CallbackServerContext* context, size_t bytes,
                                     std::function<absl::Status()> work);

  GenerationService& service_;
  TextWorkers& workers_;
};

}  // namespace sdar
