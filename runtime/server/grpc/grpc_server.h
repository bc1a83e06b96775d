// SPDX-License-Identifier: Apache-2.0
// The listening end of a service, with health and reflection beside it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/listening_socket.h"
#include "runtime/server/server_certificates.h"

namespace sdar {

// A running gRPC server. Health answers SERVING for "" and for the service's name, until told
// otherwise.
class GrpcServer {
 public:
  using Certificates = std::shared_ptr<ServerCertificates>;

  // Takes the place of `sockets`, which kept the port, with TLS unless there are no certificates
  // (null). Unavailable when it cannot.
  // Requires: the service outlives the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(ListeningSockets sockets,
                                                           const Certificates& certificates,
                                                           grpc::Service& service);
  // Cancels what is still open.
  ~GrpcServer();

  // HOST:PORT as it listens.
  const std::string& address() const { return address_; }
  // What health answers from now on: SERVING or NOT_SERVING. Any thread.
  void SetServing(bool serving);

 private:
  GrpcServer() = default;

  std::string address_;
  // gRPC asks them for certificates at every connection, and keeps a plain pointer.
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sdar
