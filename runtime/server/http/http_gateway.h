// SPDX-License-Identifier: Apache-2.0
// The service over HTTP: OpenAI's API, tokens, metrics, and what probes ask.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "common/json.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/http/http_exchange.h"

namespace sdar {

// Thread-safe; reactions tokenize and queue, like the service's own.
class HttpGateway {
 public:
  // models: the names that are served, one at least; the first is the default. Requires: the
  // service outlives the gateway and its exchanges.
  HttpGateway(GenerationService& service, std::vector<std::string> models);

  // Answers a request, now or as the answer is made.
  void Handle(HttpExchange&& exchange);

 private:
  using Route = void (HttpGateway::*)(HttpExchange&);

  // The id that a request brings, or a new one.
  std::string RequestIdOf(const HttpRequest& request);
  absl::Status CheckAccess(const HttpRequest& request) const;
  void Complete(HttpExchange& exchange, bool chat);
  void ChatCompletions(HttpExchange& exchange) { Complete(exchange, true); }
  void Completions(HttpExchange& exchange) { Complete(exchange, false); }
  void Models(HttpExchange& exchange);
  void Tokenize(HttpExchange& exchange);
  void Detokenize(HttpExchange& exchange);
  void Health(HttpExchange& exchange);
  void Alive(HttpExchange& exchange);
  void Started(HttpExchange& exchange);
  void Page(HttpExchange& exchange);
  void Version(HttpExchange& exchange);
  void Metrics(HttpExchange& exchange);

  GenerationService& service_;
  const std::vector<std::string> models_;
  const int64_t started_;  // Unix seconds
  // By path, then method.
  std::map<std::string, std::map<std::string, Route>, std::less<>> routes_;
};

}  // namespace sdar
