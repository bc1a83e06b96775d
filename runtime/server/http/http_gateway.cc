// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_gateway.h"

#include <exception>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/request/request_json.h"
#include "runtime/server/http/http_call.h"
#include "runtime/server/http/openai_answer.h"
#include "runtime/server/http/openai_error.h"
#include "runtime/server/http/openai_request.h"
#include "runtime/server/http/page.h"
#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

// Deeper than any conversation or tool's schema.
constexpr int kMaxDepth = 64;
constexpr char kRequestIdHeader[] = "X-Request-Id";
// Of what brings no text.
constexpr size_t kMaxIdleBodyBytes = size_t{64} << 10;
// What a byte may become in JSON: \u0041.
constexpr size_t kMaxEscape = 6;
// Of what a body holds that the prompt does not show.
constexpr size_t kMaxOtherFieldsBytes = size_t{1} << 20;
// When to ask again for a model that is being loaded.
constexpr char kLoadingRetrySeconds[] = "5";

absl::StatusOr<OpenAiCall> Parse(const HttpRequest& request, bool chat,
                                 absl::Span<const std::string> models, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(request.body, "the body", kMaxDepth));
  SDAR_ASSIGN_OR_RETURN(OpenAiCall call, chat ? ParseChatCompletion(std::move(body), models, text)
                                              : ParseCompletion(std::move(body), models, text));
  std::string& id = call.call.request_id;
  if (!id.empty() && !IsPlainRequestId(id)) return BadRequestId();
  if (id.empty()) {
    id = request.request_id;
    call.call.may_extend_request_id = true;
  }
  call.call.trace_id = TraceIdOf(request.traceparent);
  return call;
}

absl::StatusOr<Json> TokensOf(const std::string& body_text, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(body_text, "the body", kMaxDepth));
  if (!body.is_object()) return Mistyped("an object with a prompt or messages", body);
  std::string prompt;
  if (body.contains("messages")) {
    SDAR_ASSIGN_OR_RETURN(const ChatRequest chat, TakeChat(body));
    SDAR_ASSIGN_OR_RETURN(prompt, text.RenderChat(chat));
  } else if (!ReadValue(body.value("prompt", Json()), prompt).ok()) {
    return absl::InvalidArgumentError("prompt: expected a string, or messages instead");
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, text.tokenizer().Encode(prompt));
  return Json{{"count", ids.size()}, {"tokens", ids}};
}

absl::StatusOr<Json> TextOf(const std::string& body_text, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(const Json body, ParseJson(body_text, "the body", kMaxDepth));
  std::vector<TokenId> ids;
  if (!body.is_object() || !ReadValue(body.value("tokens", Json()), ids).ok()) {
    return absl::InvalidArgumentError("tokens: expected a list of token ids");
  }
  SDAR_ASSIGN_OR_RETURN(std::string prompt, text.DecodeIds(ids, false, "tokens"));
  return Json{{"prompt", std::move(prompt)}};
}

void Respond(HttpExchange& exchange, const absl::StatusOr<Json>& body) {
  exchange.respond(body.ok() ? JsonResponse(*body) : ErrorResponse(body.status()));
}

HttpResponse ProbeResponse(const std::string& trouble) {
  HttpResponse response = JsonResponse({{"status", trouble.empty() ? "ok" : trouble}});
  if (!trouble.empty()) response.code = 503;
  return response;
}

HttpResponse Loading() {
  HttpResponse response = ErrorResponse(absl::UnavailableError("the model is loading"));
  response.headers.emplace_back("Retry-After", kLoadingRetrySeconds);
  return response;
}

absl::string_view MethodsOf(absl::string_view method) {
  return method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

void Append(std::vector<std::pair<std::string, std::string>> more, HttpResponse& response) {
  for (auto& field : more) response.headers.push_back(std::move(field));
}

}  // namespace

HttpGateway::HttpGateway(OriginPolicy origins, OriginPolicy probe_origins)
    : origins_(std::move(origins)),
      probe_origins_(std::move(probe_origins)),
      started_(absl::ToUnixSeconds(absl::Now())),
      routes_{
          {"/", {"GET", &HttpGateway::Page, Access::kOpenToAll}},
          {"/v1/chat/completions",
           {"POST", &HttpGateway::ChatCompletions, Access::kWithKey, true, true}},
          {"/v1/completions", {"POST", &HttpGateway::Completions, Access::kWithKey, true, true}},
          {"/v1/models", {"GET", &HttpGateway::Models, Access::kWithKey}},
          {"/tokenize", {"POST", &HttpGateway::Tokenize, Access::kWithKey, true}},
          {"/detokenize", {"POST", &HttpGateway::Detokenize, Access::kWithKey, true}},
          {"/health", {"GET", &HttpGateway::Health, Access::kProbe}},
          {"/readyz", {"GET", &HttpGateway::Health, Access::kProbe}},
          {"/livez", {"GET", &HttpGateway::Alive, Access::kProbe}},
          {"/startupz", {"GET", &HttpGateway::Started, Access::kProbe}},
          {"/version", {"GET", &HttpGateway::Version, Access::kWithKey}},
          {"/metrics", {"GET", &HttpGateway::Metrics, Access::kProbe}}} {}

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
  handlers.refuse = [](int code, const std::string& message) {
    return FaultResponse(code, message);
  };
  return handlers;
}

const HttpGateway::Route* HttpGateway::Find(const HttpRequest& request) const {
  const auto route = routes_.find(request.path);
  return route == routes_.end() ? nullptr : &route->second;
}

HttpAdmission HttpGateway::Admit(const HttpRequest& request, const OriginPolicy& origins,
                                 bool probes_only) {
  HttpAdmission admission;
  const absl::Status origin = origins.Check(request);
  admission.refusal = origin.ok() ? FindRefusal(request, probes_only) : ErrorResponse(origin);
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
  if (!route->generates || service == nullptr) return kNoLimit;
  const std::optional<size_t> prompt = service->text().max_prompt_bytes();
  return prompt ? *prompt * kMaxEscape + kMaxOtherFieldsBytes : kNoLimit;
}

std::optional<HttpResponse> HttpGateway::FindRefusal(const HttpRequest& request,
                                                     bool probes_only) const {
  if (request.path == "*") return std::nullopt;
  const Route* route = Find(request);
  if (route == nullptr || (probes_only && route->access != Access::kProbe)) {
    return ErrorResponse(absl::NotFoundError(
        absl::StrCat("there is no ", absl::string_view(request.path).substr(0, 80))));
  }
  if (request.method == "OPTIONS") return std::nullopt;
  if (request.method != route->method &&
      !(request.method == "HEAD" && absl::string_view(route->method) == "GET")) {
    const std::string allowed(MethodsOf(route->method));
    HttpResponse response =
        FaultResponse(405, absl::StrCat(request.path, " takes ", allowed, " only"));
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  GenerationService* service = service_.load();
  if (service == nullptr) {
    if (route->access == Access::kWithKey) return Loading();
    return std::nullopt;
  }
  if (const absl::Status access = CheckAccess(request, *route); !access.ok()) {
    service->CountRefusal(access);
    HttpResponse response = ErrorResponse(access);
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  if (!request.content_encoding.empty() && request.content_encoding != "identity") {
    HttpResponse response = FaultResponse(415, "Content-Encoding: expected none");
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
        ready.ok() ? (this->*route.action)(*shared) : shared->respond(ErrorResponse(ready));
      });
  if (queued.ok()) return;
  service_.load()->CountRefusal(queued);
  shared->respond(ErrorResponse(queued));
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

void HttpGateway::Complete(HttpExchange& exchange, bool chat) {
  GenerationService& service = *service_.load();
  exchange.request.request_id = RequestIdOf(exchange.request);
  absl::StatusOr<OpenAiCall> call = Parse(exchange.request, chat, models_, service.text());
  exchange.request.body = std::string();
  exchange.request.body_share.reset();
  absl::Status refusal = call.status();
  if (!call.ok()) service.CountRefusal(refusal);
  std::shared_ptr<GenerateStream> stream;
  if (call.ok()) {
    auto opened = service.Open(call->call);
    refusal = opened.status();
    if (opened.ok()) stream = *std::move(opened);
  }
  if (stream == nullptr) {
    exchange.add_header(kRequestIdHeader,
                        call.ok() ? call->call.request_id : exchange.request.request_id);
    return exchange.respond(ErrorResponse(refusal));
  }
  exchange.add_header(kRequestIdHeader, stream->request_id());
  OpenAiAnswer answer(*call, absl::StrCat(chat ? "chatcmpl-" : "cmpl-", NewIdentifier()),
                      absl::ToUnixSeconds(absl::Now()), service.text().tokenizer());
  std::make_shared<HttpCall>(std::move(exchange), stream, std::move(answer), call->stream,
                             call->include_usage)
      ->Begin([&service, stream] { service.Close(stream); });
}

void HttpGateway::Models(HttpExchange& exchange) {
  Json list = Json::array();
  for (const std::string& name : models_) {
    list.push_back({{"id", name},
                    {"object", "model"},
                    {"created", started_},
                    {"owned_by", "sdar"},
                    {"max_model_len", service_.load()->model_info().max_sequence_length()},
                    {"defaults", DefaultFieldsJson(service_.load()->defaults())}});
  }
  exchange.respond(JsonResponse({{"object", "list"}, {"data", std::move(list)}}));
}

void HttpGateway::Tokenize(HttpExchange& exchange) {
  absl::StatusOr<Json> body = TokensOf(exchange.request.body, service_.load()->text());
  if (body.ok()) (*body)["max_model_len"] = service_.load()->model_info().max_sequence_length();
  Respond(exchange, body);
}

void HttpGateway::Detokenize(HttpExchange& exchange) {
  Respond(exchange, TextOf(exchange.request.body, service_.load()->text()));
}

void HttpGateway::Health(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  exchange.respond(service == nullptr ? Loading() : ProbeResponse(service->FindTrouble()));
}

// Loading is no reason for a restart: the watchdog looks after ranks that load.
void HttpGateway::Alive(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  exchange.respond(ProbeResponse(service == nullptr ? "" : service->FindStall()));
}

void HttpGateway::Started(HttpExchange& exchange) {
  exchange.respond(service_.load() == nullptr ? Loading() : ProbeResponse(""));
}

void HttpGateway::Metrics(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  if (service == nullptr) return exchange.respond(Loading());
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service->Metrics();
  exchange.respond(std::move(response));
}

void HttpGateway::Page(HttpExchange& exchange) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
                       "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cache-Control", "no-cache"}};
  response.body = std::string(PageHtml());
  exchange.respond(std::move(response));
}

void HttpGateway::Version(HttpExchange& exchange) {
  exchange.respond(JsonResponse({{"version", service_.load()->model_info().version()}}));
}

}  // namespace sdar
