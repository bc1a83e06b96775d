// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over TCP: an asynchronous server without a thread per connection (Asio).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "runtime/server/http/http_exchange.h"
#include "runtime/server/http/http_request_reader.h"
#include "runtime/server/listening_socket.h"
#include "runtime/server/server_certificates.h"

namespace sdar {

struct HttpServerOptions {
  int threads = 2;
  // At more, the connection that has waited longest without a request makes room; where all have
  // one, others wait until one ends.
  int max_connections = 1024;
  std::shared_ptr<ServerCertificates> certificates;  // null: no TLS
  HttpLimits limits;
  size_t body_bytes = size_t{128} << 20;  // of large bodies that are being read or parsed, together
  absl::Duration header_timeout = absl::Seconds(10);  // for the handshake, and for a whole head
  absl::Duration body_timeout = absl::Seconds(10);    // for every 64 KiB of a body
  absl::Duration idle_timeout = absl::Seconds(60);    // between requests
  absl::Duration write_timeout = absl::Seconds(60);   // for a piece to be taken by the client
};

// Listens until it is destroyed.
class HttpServer {
 public:
  // The handlers are called on the server's threads. What is no request, or too large, is answered
  // here. InvalidArgument when TLS cannot be had with the certificates.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(ListeningSockets sockets,
                                                           const HttpServerOptions& options,
                                                           HttpHandlers handlers);
  // Closes all connections: the exchanges that are open see their clients go.
  ~HttpServer();

  // HOST:PORT as it listens, the first of its addresses.
  const std::string& address() const { return address_; }

 private:
  class Listener;
  HttpServer() = default;

  std::string address_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace sdar
