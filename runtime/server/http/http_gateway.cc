// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_gateway.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/server/http/http_call.h"
#include "runtime/server/http/openai_answer.h"
#include "runtime/server/http/openai_request.h"
#include "runtime/server/http/page.h"
#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

// Deeper than any conversation or tool's schema.
constexpr int kMaxDepth = 64;
constexpr char kRequestIdHeader[] = "X-Request-Id";

absl::StatusOr<OpenAiCall> Parse(const HttpRequest& request, bool chat,
                                 absl::Span<const std::string> models, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(const Json body, ParseJson(request.body, "the body", kMaxDepth));
  SDAR_ASSIGN_OR_RETURN(OpenAiCall call, chat ? ParseChatCompletion(body, models, text)
                                              : ParseCompletion(body, models, text));
  std::string& id = call.call.request_id;
  if (!id.empty() && !IsPlainRequestId(id)) {
    return absl::InvalidArgumentError("request_id: expected at most 128 visible ASCII characters");
  }
  if (id.empty()) id = request.request_id;
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
  for (TokenId id : ids) {
    if (!text.tokenizer().HasToken(id)) {
      return absl::InvalidArgumentError(absl::StrCat("tokens: the tokenizer has no token ", id));
    }
  }
  return Json{{"prompt", text.tokenizer().Decode(ids, false)}};
}

void Respond(HttpExchange& exchange, const absl::StatusOr<Json>& body) {
  exchange.respond(body.ok() ? JsonResponse(*body) : ErrorResponse(body.status()));
}

HttpResponse NotAllowed(const std::string& path, const std::string& allowed) {
  HttpResponse response =
      ErrorResponse(absl::InvalidArgumentError(absl::StrCat(path, " takes ", allowed, " only")));
  response.code = 405;
  response.headers.emplace_back("Allow", allowed);
  return response;
}

HttpResponse ProbeResponse(const std::string& trouble) {
  HttpResponse response = JsonResponse({{"status", trouble.empty() ? "ok" : trouble}});
  if (!trouble.empty()) response.code = 503;
  return response;
}

// What probes and scrapers ask, who have neither token nor certificate, and the page that asks for
// a token; it says nothing about anybody's calls.
bool IsOpenToAll(const std::string& path) {
  return path == "/health" || path == "/readyz" || path == "/livez" || path == "/startupz" ||
         path == "/metrics" || path == "/";
}

}  // namespace

HttpGateway::HttpGateway(GenerationService& service, std::vector<std::string> models)
    : service_(service),
      models_(std::move(models)),
      started_(absl::ToUnixSeconds(absl::Now())),
      routes_{{"/", {{"GET", &HttpGateway::Page}}},
              {"/v1/chat/completions", {{"POST", &HttpGateway::ChatCompletions}}},
              {"/v1/completions", {{"POST", &HttpGateway::Completions}}},
              {"/v1/models", {{"GET", &HttpGateway::Models}}},
              {"/tokenize", {{"POST", &HttpGateway::Tokenize}}},
              {"/detokenize", {{"POST", &HttpGateway::Detokenize}}},
              {"/health", {{"GET", &HttpGateway::Health}}},
              {"/readyz", {{"GET", &HttpGateway::Health}}},
              {"/livez", {{"GET", &HttpGateway::Alive}}},
              {"/startupz", {{"GET", &HttpGateway::Started}}},
              {"/version", {{"GET", &HttpGateway::Version}}},
              {"/metrics", {{"GET", &HttpGateway::Metrics}}}} {}

void HttpGateway::Handle(HttpExchange&& exchange) {
  const std::string& path = exchange.request.path;
  const auto route = routes_.find(path);
  if (route == routes_.end()) {
    return exchange.respond(
        ErrorResponse(absl::NotFoundError(absl::StrCat("there is no ", path.substr(0, 80)))));
  }
  const auto method = route->second.find(exchange.request.method);
  if (method == route->second.end()) {
    exchange.add_header(kRequestIdHeader, RequestIdOf(exchange.request));
    return exchange.respond(NotAllowed(path, route->second.begin()->first));
  }
  if (const absl::Status access = CheckAccess(exchange.request); !access.ok()) {
    service_.CountRefusal(access);
    exchange.add_header("WWW-Authenticate", "Bearer");
    return exchange.respond(ErrorResponse(access));
  }
  (this->*method->second)(exchange);
}

absl::Status HttpGateway::CheckAccess(const HttpRequest& request) const {
  if (IsOpenToAll(request.path)) return absl::OkStatus();
  if (!request.has_certificate) {
    return absl::UnauthenticatedError("expected a client certificate in the TLS handshake");
  }
  return service_.CheckAccess(request.authorization);
}

std::string HttpGateway::RequestIdOf(const HttpRequest& request) {
  return IsPlainRequestId(request.request_id) ? request.request_id : service_.NewRequestId();
}

void HttpGateway::Complete(HttpExchange& exchange, bool chat) {
  std::string& request_id = exchange.request.request_id;
  request_id = RequestIdOf(exchange.request);
  absl::StatusOr<OpenAiCall> call = Parse(exchange.request, chat, models_, service_.text());
  exchange.add_header(kRequestIdHeader, call.ok() ? call->call.request_id : request_id);
  if (!call.ok()) {
    service_.CountRefusal(call.status());
    return exchange.respond(ErrorResponse(call.status()));
  }
  auto stream = service_.Open(call->call);
  if (!stream.ok()) return exchange.respond(ErrorResponse(stream.status()));
  const std::string id = absl::StrCat(chat ? "chatcmpl-" : "cmpl-", (*stream)->request_id());
  OpenAiAnswer answer(*call, id, absl::ToUnixSeconds(absl::Now()), service_.text().tokenizer());
  std::make_shared<HttpCall>(std::move(exchange), *stream, std::move(answer), call->stream,
                             call->include_usage)
      ->Begin([this, held = *stream] { service_.Close(held); });
}

void HttpGateway::Models(HttpExchange& exchange) {
  Json list = Json::array();
  for (const std::string& name : models_) {
    list.push_back({{"id", name},
                    {"object", "model"},
                    {"created", started_},
                    {"owned_by", "sdar"},
                    {"max_model_len", service_.model_info().max_sequence_length()}});
  }
  exchange.respond(JsonResponse({{"object", "list"}, {"data", std::move(list)}}));
}

void HttpGateway::Tokenize(HttpExchange& exchange) {
  absl::StatusOr<Json> body = TokensOf(exchange.request.body, service_.text());
  if (body.ok()) (*body)["max_model_len"] = service_.model_info().max_sequence_length();
  Respond(exchange, body);
}

void HttpGateway::Detokenize(HttpExchange& exchange) {
  Respond(exchange, TextOf(exchange.request.body, service_.text()));
}

void HttpGateway::Health(HttpExchange& exchange) {
  exchange.respond(ProbeResponse(service_.FindTrouble()));
}

void HttpGateway::Alive(HttpExchange& exchange) {
  exchange.respond(ProbeResponse(service_.FindStall()));
}

void HttpGateway::Started(HttpExchange& exchange) {
  // Nothing listens before every rank has loaded its part of the model.
  exchange.respond(ProbeResponse(""));
}

void HttpGateway::Metrics(HttpExchange& exchange) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service_.Metrics();
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
  exchange.respond(JsonResponse({{"version", service_.model_info().version()}}));
}

}  // namespace sdar
