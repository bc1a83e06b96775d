// SPDX-License-Identifier: Apache-2.0
// The listening end of a service, with health and reflection.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/grpcpp.h>

#include "runtime/server/grpc/grpc_acceptor.h"
#include "runtime/server/grpc/reflection_service.h"
#include "runtime/server/listening_socket.h"
#include "runtime/server/server_certificates.h"

namespace sdar {

// A running gRPC server. Health answers SERVING for "" and for the service's name, until told
// otherwise.
class GrpcServer {
 public:
  using Certificates = std::shared_ptr<ServerCertificates>;

  // Serves the connections that `sockets` accept, with TLS unless there are no certificates (null).
  // Refuses them while the process uses `max_descriptors` or more. Unavailable when it cannot.
  // Requires: the service outlives the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(ListeningSockets sockets,
                                                           const Certificates& certificates,
                                                           int max_descriptors,
                                                           grpc::Service& service);
  // Ends all connections: calls that come at this moment are refused, or lose their connection,
  // which is UNAVAILABLE to clients too.
  ~GrpcServer();

  // HOST:PORT as it listens.
  const std::string& address() const { return address_; }
  // What health answers from now on: SERVING or NOT_SERVING. Any thread.
  void SetServing(bool serving);
  const GrpcAcceptor& acceptor() const { return *acceptor_; }

 private:
  GrpcServer() = default;

  std::string address_;
  int port_ = 0;
  // gRPC asks them for certificates at every connection, and keeps a plain pointer.
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  ReflectionService reflection_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GrpcAcceptor> acceptor_;
};

}  // namespace sdar
