// SPDX-License-Identifier: Apache-2.0
// The second half of the gateway: what each route does.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "common/json_fields.h"
#include "common/percent_encoding.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/request/request_json.h"
#include "runtime/server/api/bodies/body_fields.h"
#include "runtime/server/api/bodies/messages_request.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "runtime/server/http/http_call.h"
#include "runtime/server/http/http_gateway.h"
#include "runtime/server/http/page.h"
#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

// Deeper than any conversation or tool's schema.
constexpr int kMaxDepth = 64;

absl::StatusOr<Json> TokensOf(Json body, const TextCodec& text, UnknownFields& unknown) {
  std::string prompt;
  if (body.contains("messages")) {
    SDAR_ASSIGN_OR_RETURN(const ApiChat chat, TakeChat(body));
    SDAR_ASSIGN_OR_RETURN(prompt, text.RenderChat(chat.request));
  } else if (!ReadValue(TakeField(body, "prompt"), prompt).ok()) {
    return absl::InvalidArgumentError("prompt: expected a string, or messages instead");
  }
  NoteRest(body, "", unknown);
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, text.tokenizer().Encode(prompt));
  return Json{{"count", ids.size()}, {"tokens", ids}};
}

absl::StatusOr<Json> TextOf(Json body, const TextCodec& text, UnknownFields& unknown) {
  std::vector<TokenId> ids;
  if (!ReadValue(TakeField(body, "tokens"), ids).ok()) {
    return absl::InvalidArgumentError("tokens: expected a list of token ids");
  }
  NoteRest(body, "", unknown);
  SDAR_ASSIGN_OR_RETURN(std::string prompt, text.DecodeIds(ids, false, "tokens"));
  return Json{{"prompt", std::move(prompt)}};
}

void Respond(HttpExchange& exchange, const absl::StatusOr<Json>& body) {
  exchange.respond(body.ok() ? JsonResponse(*body)
                             : RefusalOf(exchange.request.path, body.status()));
}

HttpResponse ProbeResponse(const std::string& trouble) {
  HttpResponse response = JsonResponse({{"status", trouble.empty() ? "ok" : trouble}});
  if (!trouble.empty()) response.code = 503;
  return response;
}

}  // namespace

absl::Status HttpGateway::CheckUnknown(const UnknownFields& fields, absl::string_view path) {
  if (strict_fields_ && !fields.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(fields[0], ": it is not known or not supported"));
  }
  for (const std::string& field : fields) field_log_.Note(field, path);
  return absl::OkStatus();
}

absl::StatusOr<ApiCall> HttpGateway::Parse(const Api& api, const HttpRequest& request) {
  SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(request.body, "the body", kMaxDepth));
  SDAR_ASSIGN_OR_RETURN(ApiCall call, api.parse(std::move(body), models_, service_.load()->text()));
  SDAR_RETURN_IF_ERROR(CheckUnknown(call.unknown_fields, request.path));
  std::string& id = call.call.request_id;
  if (!id.empty() && !IsPlainRequestId(id)) return BadRequestId();
  if (id.empty()) {
    id = request.request_id;
    call.call.may_extend_request_id = true;
  }
  call.call.trace = ParseTraceParent(request.traceparent);
  return call;
}

void HttpGateway::Complete(HttpExchange& exchange) {
  GenerationService& service = *service_.load();
  const Api& api = *Find(exchange.request)->api;
  exchange.request.request_id = RequestIdOf(exchange.request);
  absl::StatusOr<ApiCall> call = Parse(api, exchange.request);
  exchange.request.body = std::string();
  exchange.request.body_share.reset();
  if (!call.ok()) {
    service.CountRefusal(call.status());
    exchange.add_header("X-Request-Id", exchange.request.request_id);
    return exchange.respond(RefusalOf(exchange.request.path, call.status()));
  }
  AnswerForm form = api.form(
      *call, {absl::StrCat(api.id_prefix, NewIdentifier()), absl::ToUnixSeconds(absl::Now())},
      service.text().tokenizer());
  const std::string request_id = call->call.request_id;
  const auto begun =
      std::make_shared<HttpCall>(std::move(exchange), service, *std::move(call), std::move(form));
  const absl::Status refusal = begun->Start();
  if (refusal.ok()) return;
  HttpExchange& refused = begun->exchange();
  refused.add_header("X-Request-Id", request_id);
  refused.respond(RefusalOf(refused.request.path, refusal));
}

void HttpGateway::CountMessageTokens(HttpExchange& exchange) {
  const absl::StatusOr<ApiCall> call = Parse({ParseMessages, nullptr, ""}, exchange.request);
  if (!call.ok()) return Respond(exchange, call.status());
  exchange.respond(JsonResponse({{"input_tokens", call->prompts[0].size()}}));
}

Json HttpGateway::ModelJson(const std::string& name) const {
  const sdar::v1::GetModelInfoResponse& info = service_.load()->model_info();
  return {{"id", name},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "sdar"},
          {"max_model_len", info.max_sequence_length()},
          {"defaults", DefaultFieldsJson(service_.load()->defaults())}};
}

void HttpGateway::Models(HttpExchange& exchange) {
  Json list = Json::array();
  for (const std::string& name : models_) list.push_back(ModelJson(name));
  exchange.respond(JsonResponse({{"object", "list"}, {"data", std::move(list)}}));
}

// Names of a hub have a slash, which clients write as it is or as %2F.
void HttpGateway::Model(HttpExchange& exchange) {
  const std::string name =
      PercentDecoded(absl::string_view(exchange.request.path).substr(kModelPath.size()));
  if (std::find(models_.begin(), models_.end(), name) == models_.end()) {
    return Respond(exchange, absl::NotFoundError(absl::StrCat("model: expected '", models_.front(),
                                                              "', got '", Shorten(name), "'")));
  }
  exchange.respond(JsonResponse(ModelJson(name)));
}

absl::StatusOr<Json> HttpGateway::Convert(const HttpRequest& request, TextConversion conversion) {
  UnknownFields unknown;
  SDAR_ASSIGN_OR_RETURN(Json body, ParseJson(request.body, "the body", kMaxDepth));
  SDAR_RETURN_IF_ERROR(CheckFields("the body", body));
  body.erase("model");
  SDAR_ASSIGN_OR_RETURN(Json out, conversion(std::move(body), service_.load()->text(), unknown));
  SDAR_RETURN_IF_ERROR(CheckUnknown(unknown, request.path));
  return out;
}

void HttpGateway::Tokenize(HttpExchange& exchange) {
  absl::StatusOr<Json> body = Convert(exchange.request, TokensOf);
  if (body.ok()) (*body)["max_model_len"] = service_.load()->model_info().max_sequence_length();
  Respond(exchange, body);
}

void HttpGateway::Detokenize(HttpExchange& exchange) {
  Respond(exchange, Convert(exchange.request, TextOf));
}

void HttpGateway::Health(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  exchange.respond(service == nullptr ? LoadingRefusal("") : ProbeResponse(service->FindTrouble()));
}

// Loading is no reason for a restart: the watchdog looks after ranks that load.
void HttpGateway::Alive(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  exchange.respond(ProbeResponse(service == nullptr ? "" : service->FindStall()));
}

void HttpGateway::Started(HttpExchange& exchange) {
  exchange.respond(service_.load() == nullptr ? LoadingRefusal("") : ProbeResponse(""));
}

void HttpGateway::Metrics(HttpExchange& exchange) {
  const GenerationService* service = service_.load();
  if (service == nullptr) return exchange.respond(LoadingRefusal(""));
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
