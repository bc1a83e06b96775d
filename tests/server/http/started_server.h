// SPDX-License-Identifier: Apache-2.0
// An HTTP server on a free port, for tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

#include "runtime/server/http/api_routes.h"
#include "runtime/server/http/http_server.h"

namespace sdar {

inline std::unique_ptr<HttpServer> StartServer(HttpHandlers handlers,
                                               const HttpServerOptions& options = {}) {
  auto sockets = ListeningSockets::Open("HTTP", {"127.0.0.1"}, 0);
  EXPECT_TRUE(sockets.ok()) << sockets.status();
  auto server = HttpServer::Start(*std::move(sockets), options, std::move(handlers));
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

// Lets all requests in.
inline HttpHandlers Handling(std::function<void(HttpExchange)> handle) {
  HttpHandlers handlers;
  handlers.handle = std::move(handle);
  handlers.refuse = [](int code, const std::string& message) {
    return RefusalOf("", code, message);
  };
  return handlers;
}

// Answers with what it was asked.
inline void Echo(HttpExchange exchange) {
  HttpResponse response;
  response.body = absl::StrCat(exchange.request.method, " ", exchange.request.path, " ",
                               exchange.request.request_id, " ", exchange.request.body);
  exchange.respond(std::move(response));
}

}  // namespace sdar
