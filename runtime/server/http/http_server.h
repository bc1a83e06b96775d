// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over TCP: an asynchronous server without a thread per connection (Boost.Beast).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "runtime/server/http/http_exchange.h"
#include "runtime/server/tls_files.h"

namespace sdar {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: a free one
  int threads = 2;
  int max_connections = 1024;  // more wait until one ends
  TlsFiles tls;
  size_t max_header_bytes = 16 << 10;
  size_t max_body_bytes = 16 << 20;
  absl::Duration idle_timeout = absl::Seconds(60);   // between requests, and for one to come whole
  absl::Duration write_timeout = absl::Seconds(60);  // for a piece to be taken by the client
};

// Listens until it is destroyed.
class HttpServer {
 public:
  // handler: called on the server's threads with every well-formed request; must not block. What is
  // not well-formed or too large is answered here. Unavailable when it cannot listen,
  // and the errors of TlsFiles::Check.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                           HttpHandler handler);
  // Closes all connections: the exchanges that are open see their clients go.
  ~HttpServer();

  // HOST:PORT as it listens.
  const std::string& address() const { return address_; }

 private:
  class Listener;
  HttpServer() = default;

  std::string address_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace sdar
