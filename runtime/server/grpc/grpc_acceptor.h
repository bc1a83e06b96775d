// SPDX-License-Identifier: Apache-2.0
// Accepts gRPC's connections in gRPC's place. gRPC 1.51 closes a listener for good when accept
// fails once for want of descriptors, so that a flood of connections would end the service.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <grpcpp/server_builder.h>

#include "runtime/server/listening_socket.h"

namespace sdar {

// Hands connections to a running gRPC server. Those that come while the process has many
// descriptors in use are closed at once. After an accept that failed it waits and tries again.
class GrpcAcceptor {
 public:
  using Connections = grpc::experimental::ExternalConnectionAcceptor;

  // Starts its thread. Connections are refused when the lowest free descriptor is
  // `max_descriptors` or more, which means that at least that many are in use.
  GrpcAcceptor(ListeningSockets sockets, std::unique_ptr<Connections> connections,
               int max_descriptors);
  // Closes the sockets. Connections that were handed over stay open.
  ~GrpcAcceptor();
  GrpcAcceptor(const GrpcAcceptor&) = delete;
  GrpcAcceptor& operator=(const GrpcAcceptor&) = delete;

  // Any thread.
  int64_t num_refused() const { return num_refused_; }
  int64_t num_failures() const { return num_failures_; }

 private:
  void Loop();
  // Accepts what waits, within reason. Returns the error where there was no room for more, else 0.
  int AcceptSome(int listener);
  void Accept(int listener, int connection);

  const std::vector<int> listeners_;
  const std::unique_ptr<Connections> connections_;
  const int max_descriptors_;
  const int stop_;  // an eventfd
  std::atomic<int64_t> num_refused_{0};
  std::atomic<int64_t> num_failures_{0};
  std::thread thread_;
};

}  // namespace sdar
