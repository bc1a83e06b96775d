// SPDX-License-Identifier: Apache-2.0
// The service over HTTP: the APIs, tokens, metrics, and what probes ask.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/http/api_routes.h"
#include "runtime/server/http/field_log.h"
#include "runtime/server/http/http_exchange.h"
#include "runtime/server/http/origin_policy.h"
#include "runtime/server/text_workers.h"

namespace sdar {

// Answers from the first moment on: before Serve, that the model is loading. Thread-safe; reactions
// hand texts to the workers and wait for nothing.
class HttpGateway {
 public:
  // probe_origins: of ProbeHandlers. strict_fields: a field that nobody knows is refused, instead
  // of logged once.
  HttpGateway(OriginPolicy origins, OriginPolicy probe_origins, bool strict_fields);

  // From now on answers for a service. models: the names that are served, one at least; the first
  // is the default. Once. Requires: the service and the workers outlive the gateway's exchanges,
  // and the workers are stopped before the HTTP server.
  void Serve(GenerationService& service, TextWorkers& workers, std::vector<std::string> models);

  // Of all routes. Requires: the gateway outlives the server that has them.
  HttpHandlers Handlers();
  // Of the routes that probes and scrapers ask alone.
  HttpHandlers ProbeHandlers();

 private:
  using Action = void (HttpGateway::*)(HttpExchange&);
  // From a body to another; what nobody knows of it is noted.
  using TextConversion = absl::StatusOr<Json> (*)(Json body, const TextCodec& text,
                                                  UnknownFields& unknown);
  // What stands in front of a model's name in its path.
  static constexpr absl::string_view kModelPath = "/v1/models/";
  // Who may ask for a route: what probes and scrapers ask, who have neither key nor certificate,
  // says nothing of anybody's calls.
  enum class Access { kProbe, kOpenToAll, kWithKey };
  struct Route {
    const char* method;
    Action action;
    Access access;
    bool takes_text = false;   // done by the workers
    bool one_prompt = false;   // which has to fit
    const Api* api = nullptr;  // of Complete
  };

  static Route ApiRoute(const Api& api, bool one_prompt);
  const Route* Find(const HttpRequest& request) const;
  HttpAdmission Admit(const HttpRequest& request, const OriginPolicy& origins, bool probes_only);
  std::optional<HttpResponse> FindRefusal(const HttpRequest& request, bool probes_only) const;
  absl::Status CheckAccess(const HttpRequest& request, const Route& route) const;
  size_t MaxBodyBytes(const Route* route) const;
  void Handle(HttpExchange exchange);
  void Preflight(HttpExchange& exchange);

  // The id that a request brings, or a new one.
  std::string RequestIdOf(const HttpRequest& request) const;
  absl::Status CheckUnknown(const UnknownFields& fields, absl::string_view path);
  absl::StatusOr<ApiCall> Parse(const Api& api, const HttpRequest& request);
  void Complete(HttpExchange& exchange);
  void CountMessageTokens(HttpExchange& exchange);
  Json ModelJson(const std::string& name) const;
  void Models(HttpExchange& exchange);
  void Model(HttpExchange& exchange);
  absl::StatusOr<Json> Convert(const HttpRequest& request, TextConversion conversion);
  void Tokenize(HttpExchange& exchange);
  void Detokenize(HttpExchange& exchange);
  void Health(HttpExchange& exchange);
  void Alive(HttpExchange& exchange);
  void Started(HttpExchange& exchange);
  void Page(HttpExchange& exchange);
  void Version(HttpExchange& exchange);
  void Metrics(HttpExchange& exchange);

  const OriginPolicy origins_;
  const OriginPolicy probe_origins_;
  const bool strict_fields_;
  const int64_t started_;                            // Unix seconds
  const std::map<absl::string_view, Route> routes_;  // by path, or its beginning
  FieldLog field_log_;
  TextWorkers* workers_ = nullptr;  // these two before service_
  std::vector<std::string> models_;
  std::atomic<GenerationService*> service_{nullptr};  // null while the model is loading
};

}  // namespace sdar
