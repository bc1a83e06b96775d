// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_gateway.h"

#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

constexpr char kRequestIdHeader[] = "X-Request-Id";
// Of what brings no text.
constexpr size_t kMaxIdleBodyBytes = size_t{64} << 10;
// What a byte may become in JSON: \u0041.
constexpr size_t kMaxEscape = 6;
// Of what a body holds that the prompt does not show.
constexpr size_t kMaxOtherFieldsBytes = size_t{1} << 20;

absl::string_view MethodsOf(absl::string_view method) {
  return method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

void Append(std::vector<std::pair<std::string, std::string>> more, HttpResponse& response) {
  for (auto& field : more) response.headers.push_back(std::move(field));
}

}  // namespace

HttpGateway::HttpGateway(OriginPolicy origins, OriginPolicy probe_origins, bool strict_fields)
    : origins_(std::move(origins)),
      probe_origins_(std::move(probe_origins)),
      strict_fields_(strict_fields),
      started_(absl::ToUnixSeconds(absl::Now())),
      routes_{{"/", {"GET", &HttpGateway::Page, Access::kOpenToAll}},
              {"/v1/chat/completions", ApiRoute(kChatApi, true)},
              {"/v1/completions", ApiRoute(kCompletionApi, false)},
              {"/v1/responses", ApiRoute(kResponsesApi, true)},
              {"/v1/messages", ApiRoute(kMessagesApi, true)},
              {"/v1/score", ApiRoute(kScoreApi, true)},
              {"/v1/messages/count_tokens",
               {"POST", &HttpGateway::CountMessageTokens, Access::kWithKey, true}},
              {"/v1/models", {"GET", &HttpGateway::Models, Access::kWithKey}},
              {kModelPath, {"GET", &HttpGateway::Model, Access::kWithKey}},
              {"/tokenize", {"POST", &HttpGateway::Tokenize, Access::kWithKey, true}},
              {"/detokenize", {"POST", &HttpGateway::Detokenize, Access::kWithKey, true}},
              {"/health", {"GET", &HttpGateway::Health, Access::kProbe}},
              {"/readyz", {"GET", &HttpGateway::Health, Access::kProbe}},
              {"/livez", {"GET", &HttpGateway::Alive, Access::kProbe}},
              {"/startupz", {"GET", &HttpGateway::Started, Access::kProbe}},
              {"/version", {"GET", &HttpGateway::Version, Access::kWithKey}},
              {"/metrics", {"GET", &HttpGateway::Metrics, Access::kProbe}}} {}

HttpGateway::Route HttpGateway::ApiRoute(const Api& api, bool one_prompt) {
  return {"POST", &HttpGateway::Complete, Access::kWithKey, true, one_prompt, &api};
}

void HttpGateway::Serve(GenerationService& service, TextWorkers& workers,
                        std::vector<std::string> models) {
  workers_ = &workers;
  models_ = std::move(models);
  service_.store(&service);
}

HttpHandlers HttpGateway::Handlers() {
  HttpHandlers handlers = ProbeHandlers();
  handlers.admit = [this](const HttpRequest& request) { return Admit(request, origins_, false); };
  return handlers;
}

HttpHandlers HttpGateway::ProbeHandlers() {
  HttpHandlers handlers;
  handlers.admit = [this](const HttpRequest& request) {
    return Admit(request, probe_origins_, true);
  };
  handlers.handle = [this](HttpExchange exchange) { Handle(std::move(exchange)); };
  handlers.may_keep = [this] {
    const GenerationService* service = service_.load();
    return service == nullptr || !service->IsLeaving();
  };
  handlers.refuse = [](int code, const std::string& message) {
    return RefusalOf("", code, message);
  };
  return handlers;
}

const HttpGateway::Route* HttpGateway::Find(const HttpRequest& request) const {
  const bool model = absl::StartsWith(request.path, kModelPath);
  const auto route = routes_.find(model ? kModelPath : absl::string_view(request.path));
  return route == routes_.end() ? nullptr : &route->second;
}

HttpAdmission HttpGateway::Admit(const HttpRequest& request, const OriginPolicy& origins,
                                 bool probes_only) {
  HttpAdmission admission;
  const absl::Status origin = origins.Check(request);
  admission.refusal =
      origin.ok() ? FindRefusal(request, probes_only) : RefusalOf(request.path, origin);
  if (admission.refusal) {
    Append(origins.AnswerFields(request), *admission.refusal);
    admission.refusal->headers.emplace_back(kRequestIdHeader, RequestIdOf(request));
  }
  admission.max_body_bytes = MaxBodyBytes(Find(request));
  return admission;
}

// A body that cannot be a prompt that fits is not read, let alone parsed.
size_t HttpGateway::MaxBodyBytes(const Route* route) const {
  if (route == nullptr || !route->takes_text) return kMaxIdleBodyBytes;
  const GenerationService* service = service_.load();
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  if (!route->one_prompt || service == nullptr) return kNoLimit;
  const std::optional<size_t> prompt = service->text().max_prompt_bytes();
  return prompt ? *prompt * kMaxEscape + kMaxOtherFieldsBytes : kNoLimit;
}

std::optional<HttpResponse> HttpGateway::FindRefusal(const HttpRequest& request,
                                                     bool probes_only) const {
  if (request.path == "*") return std::nullopt;
  const Route* route = Find(request);
  if (route == nullptr || (probes_only && route->access != Access::kProbe)) {
    return RefusalOf(request.path,
                     absl::NotFoundError(absl::StrCat(
                         "there is no ", absl::string_view(request.path).substr(0, 80))));
  }
  if (request.method == "OPTIONS") return std::nullopt;
  if (request.method != route->method &&
      !(request.method == "HEAD" && absl::string_view(route->method) == "GET")) {
    const std::string allowed(MethodsOf(route->method));
    HttpResponse response = RefusalOf(
        request.path, 405,
        absl::StrCat(absl::string_view(request.path).substr(0, 80), " takes ", allowed, " only"));
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  GenerationService* service = service_.load();
  if (service == nullptr) {
    if (route->access == Access::kWithKey) return LoadingRefusal(request.path);
    return std::nullopt;
  }
  if (const absl::Status access = CheckAccess(request, *route); !access.ok()) {
    service->CountRefusal(access);
    HttpResponse response = RefusalOf(request.path, access);
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  if (!request.content_encoding.empty() && request.content_encoding != "identity") {
    HttpResponse response = RefusalOf(request.path, 415, "Content-Encoding: expected none");
    response.headers.emplace_back("Accept-Encoding", "identity");
    return response;
  }
  return std::nullopt;
}

absl::Status HttpGateway::CheckAccess(const HttpRequest& request, const Route& route) const {
  if (route.access != Access::kWithKey) return absl::OkStatus();
  if (!request.has_certificate) {
    return absl::UnauthenticatedError("expected a client certificate in the TLS handshake");
  }
  return service_.load()->CheckAccess(request.authorization);
}

void HttpGateway::Handle(HttpExchange exchange) {
  const HttpRequest& request = exchange.request;
  for (auto& [name, value] : origins_.AnswerFields(request)) exchange.add_header(name, value);
  if (request.method == "OPTIONS") return Preflight(exchange);
  const Route& route = *Find(request);
  if (!route.takes_text) return (this->*route.action)(exchange);
  const size_t bytes = request.body.size();
  const auto shared = std::make_shared<HttpExchange>(std::move(exchange));
  const absl::Status queued =
      workers_->Run(bytes, [this, &route, shared](const absl::Status& ready) {
        if (ready.ok()) return (this->*route.action)(*shared);
        shared->respond(RefusalOf(shared->request.path, ready));
      });
  if (queued.ok()) return;
  service_.load()->CountRefusal(queued);
  shared->respond(RefusalOf(shared->request.path, queued));
}

// What a browser asks before it sends a page's request, and what OPTIONS asks besides.
void HttpGateway::Preflight(HttpExchange& exchange) {
  const Route* route = Find(exchange.request);
  const std::string methods(MethodsOf(route == nullptr ? "GET" : route->method));
  HttpResponse response;
  response.code = 204;
  response.headers.emplace_back("Allow", methods);
  Append(origins_.PreflightFields(exchange.request, methods), response);
  exchange.respond(std::move(response));
}

std::string HttpGateway::RequestIdOf(const HttpRequest& request) const {
  return IsPlainRequestId(request.request_id) ? request.request_id : NewRequestId();
}

}  // namespace sdar
