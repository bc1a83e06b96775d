// SPDX-License-Identifier: Apache-2.0
// The listening ends of sdar-serve.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "launcher/serve/serve_options.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/grpc/grpc_gateway.h"
#include "runtime/server/grpc/grpc_server.h"
#include "runtime/server/http/http_gateway.h"
#include "runtime/server/http/http_server.h"
#include "runtime/server/listening_socket.h"
#include "runtime/server/server_certificates.h"
#include "runtime/server/text_workers.h"

namespace sdar {

// Takes the ports before the model is loaded, so that what cannot be had costs no loading, and
// answers probes from then on. One thread.
class Listeners {
 public:
  // Errors of flags, certificates and addresses.
  static absl::StatusOr<std::unique_ptr<Listeners>> Open(const ServeOptions& options);
  // Close.
  ~Listeners();

  // Answers for `service`, under the names `models`, from now on, and says so in the address files.
  // Requires: service and workers outlive what follows until Close.
  absl::Status Serve(GenerationService& service, TextWorkers& workers,
                     std::vector<std::string> models);
  // What gRPC's health answers, once there is one.
  void SetServing(bool serving) {
    if (grpc_ != nullptr) grpc_->SetServing(serving);
  }
  // Ends all connections. Requires: the workers are stopped.
  void Close();

  // HOST:PORT, and in words where there is none.
  std::string grpc_address() const { return grpc_->address(); }
  std::string http_address() const { return http_ == nullptr ? "no port" : http_->address(); }

 private:
  explicit Listeners(const ServeOptions& options) : options_(options) {}
  absl::Status OpenHttp();
  absl::Status OpenAdmin();

  const ServeOptions options_;
  int descriptor_limit_ = 0;                          // of this process, within reason
  std::shared_ptr<ServerCertificates> certificates_;  // null without TLS
  std::optional<ListeningSockets> grpc_sockets_;      // until Serve
  std::unique_ptr<HttpGateway> gateway_;
  std::unique_ptr<HttpServer> http_;   // null without HTTP
  std::unique_ptr<HttpServer> admin_;  // null without
  std::unique_ptr<GrpcGateway> grpc_gateway_;
  std::unique_ptr<GrpcServer> grpc_;
};

}  // namespace sdar
