// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_gateway.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/steady_time.h"
#include "runtime/cluster/retry_delay.h"
#include "runtime/server/grpc/request_translation.h"
#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

absl::string_view MetadataOf(const grpc::CallbackServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

// gRPC gives deadlines by the wall clock. What is left now holds, whatever that clock does later.
SteadyTime DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return SteadyTime::InfiniteFuture();
  return SteadyTime::Now() + absl::FromChrono(deadline - std::chrono::system_clock::now());
}

grpc::ServerUnaryReactor* FinishUnary(grpc::CallbackServerContext* context,
                                      const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// When to try again, for clients that retry by themselves.
void AddPushback(grpc::CallbackServerContext& context, const absl::Status& status) {
  if (const auto delay = RetryDelay(status)) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms",
                                absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
}

}  // namespace

absl::Status GrpcGateway::CheckAccess(const grpc::CallbackServerContext& context) const {
  return service_.CheckAccess(MetadataOf(context, "authorization"));
}

template <typename Call>
void GrpcGateway::Start(grpc::CallbackServerContext& context, size_t bytes, Translation translation,
                        Call& call) {
  const auto refuse = [this, &context, &call](const absl::Status& status) {
    service_.CountRefusal(status);
    AddPushback(context, status);
    call.Refuse(status);
  };
  const absl::Status access = CheckAccess(context);
  if (!access.ok()) return refuse(access);
  const absl::Status queued =
      workers_.Run(bytes, [this, &context, translation = std::move(translation), &call,
                           refuse](const absl::Status& ready) {
        ready.ok() ? Begin(context, translation, call) : refuse(ready);
      });
  if (!queued.ok()) refuse(queued);
}

template <typename Call>
void GrpcGateway::Begin(grpc::CallbackServerContext& context, const Translation& translation,
                        Call& call) {
  auto translated = translation();
  if (!translated.ok()) {
    service_.CountRefusal(translated.status());
    return call.Refuse(translated.status());
  }
  const auto stream = service_.Open(*std::move(translated));
  if (stream.ok()) {
    return call.Begin(*stream, [this, held = *stream] { service_.Close(held); });
  }
  AddPushback(context, stream.status());
  call.Refuse(stream.status());
}

GenerateReactor* GrpcGateway::Generate(grpc::CallbackServerContext* context,
                                       const sdar::v1::GenerateRequest* request) {
  auto* call = new GrpcCall;  // gRPC's from now on
  Start(
      *context, request->ByteSizeLong(),
      [this, context, request] { return Translate(*context, *request); }, *call);
  return call;
}

grpc::ServerUnaryReactor* GrpcGateway::Score(grpc::CallbackServerContext* context,
                                             const sdar::v1::ScoreRequest* request,
                                             sdar::v1::ScoreResponse* response) {
  auto* call = new GrpcScoreCall(response);  // gRPC's from now on
  const auto translation = [this, context, request, scores = call->scores()] {
    return TranslateScore(*context, *request, scores);
  };
  Start(*context, request->ByteSizeLong(), translation, *call);
  return call;
}

namespace {

// What a call says of itself and not of what is asked.
absl::StatusOr<GenerationCall> TranslateIdentity(const grpc::CallbackServerContext& context,
                                                 const std::string& request_id) {
  GenerationCall call;
  call.request_id = request_id;
  if (!call.request_id.empty() && !IsPlainRequestId(call.request_id)) return BadRequestId();
  const absl::string_view header = MetadataOf(context, "x-request-id");
  if (call.request_id.empty() && IsPlainRequestId(header)) {
    call.request_id = std::string(header);
    call.may_extend_request_id = true;
  }
  call.trace = ParseTraceParent(MetadataOf(context, "traceparent"));
  return call;
}

}  // namespace

absl::StatusOr<GenerationCall> GrpcGateway::Translate(
    const grpc::CallbackServerContext& context, const sdar::v1::GenerateRequest& request) const {
  SDAR_ASSIGN_OR_RETURN(GenerationCall call, TranslateIdentity(context, request.request_id()));
  SDAR_ASSIGN_OR_RETURN(call.fields, TranslateFields(request));
  SDAR_ASSIGN_OR_RETURN(call.deadline, TranslateDeadline(request.scheduling(), DeadlineOf(context),
                                                         SteadyTime::Now()));
  SDAR_ASSIGN_OR_RETURN(call.prompt, TranslatePrompt(request, service_.text()));
  call.provisional = request.output().provisional();
  return call;
}

absl::StatusOr<GenerationCall> GrpcGateway::TranslateScore(
    const grpc::CallbackServerContext& context, const sdar::v1::ScoreRequest& request,
    const std::shared_ptr<sdar::v1::ScoreResponse>& scores) const {
  SDAR_ASSIGN_OR_RETURN(GenerationCall call, TranslateIdentity(context, request.request_id()));
  call.scores = scores;
  SDAR_ASSIGN_OR_RETURN(call.score_fields, TranslateFields(request));
  SDAR_ASSIGN_OR_RETURN(call.deadline, TranslateDeadline(request.scheduling(), DeadlineOf(context),
                                                         SteadyTime::Now()));
  SDAR_ASSIGN_OR_RETURN(call.prompt, TranslatePrompt(request, service_.text()));
  SDAR_ASSIGN_OR_RETURN(call.targets, TranslateContinuation(request, service_.text()));
  return call;
}

grpc::ServerUnaryReactor* GrpcGateway::RunUnary(grpc::CallbackServerContext* context, size_t bytes,
                                                std::function<absl::Status()> work) {
  const absl::Status access = CheckAccess(*context);
  if (!access.ok()) return FinishUnary(context, access);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status queued =
      workers_.Run(bytes, [reactor, work = std::move(work)](const absl::Status& ready) {
        reactor->Finish(ToGrpc(ready.ok() ? work() : ready));
      });
  if (!queued.ok()) {
    AddPushback(*context, queued);
    reactor->Finish(ToGrpc(queued));
  }
  return reactor;
}

absl::Status GrpcGateway::TokenizeInto(const sdar::v1::TokenizeRequest& request,
                                       sdar::v1::TokenizeResponse& response) const {
  std::string text = request.text();
  if (request.input_case() == sdar::v1::TokenizeRequest::kChat) {
    SDAR_ASSIGN_OR_RETURN(const ChatRequest chat, TranslateChat(request.chat()));
    SDAR_ASSIGN_OR_RETURN(text, service_.text().RenderChat(chat));
    response.set_prompt(text);
  } else if (request.input_case() != sdar::v1::TokenizeRequest::kText) {
    return absl::InvalidArgumentError("expected one of text and chat");
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, service_.text().tokenizer().Encode(text));
  for (TokenId id : ids) response.add_ids(static_cast<uint32_t>(id));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* GrpcGateway::Tokenize(grpc::CallbackServerContext* context,
                                                const sdar::v1::TokenizeRequest* request,
                                                sdar::v1::TokenizeResponse* response) {
  return RunUnary(context, request->ByteSizeLong(),
                  [this, request, response] { return TokenizeInto(*request, *response); });
}

absl::Status GrpcGateway::DetokenizeInto(const sdar::v1::DetokenizeRequest& request,
                                         sdar::v1::DetokenizeResponse& response) const {
  const std::vector<TokenId> ids(request.ids().begin(), request.ids().end());
  SDAR_ASSIGN_OR_RETURN(*response.mutable_text(),
                        service_.text().DecodeIds(ids, request.skip_special_tokens(), "ids"));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* GrpcGateway::Detokenize(grpc::CallbackServerContext* context,
                                                  const sdar::v1::DetokenizeRequest* request,
                                                  sdar::v1::DetokenizeResponse* response) {
  return RunUnary(context, request->ByteSizeLong(),
                  [this, request, response] { return DetokenizeInto(*request, *response); });
}

grpc::ServerUnaryReactor* GrpcGateway::Abort(grpc::CallbackServerContext* context,
                                             const sdar::v1::AbortRequest* request,
                                             sdar::v1::AbortResponse*) {
  const absl::Status access = CheckAccess(*context);
  if (!access.ok()) return FinishUnary(context, access);
  if (!IsPlainRequestId(request->request_id())) return FinishUnary(context, BadRequestId());
  return FinishUnary(context, service_.Abort(request->request_id()));
}

grpc::ServerUnaryReactor* GrpcGateway::GetModelInfo(grpc::CallbackServerContext* context,
                                                    const sdar::v1::GetModelInfoRequest*,
                                                    sdar::v1::GetModelInfoResponse* response) {
  const absl::Status access = CheckAccess(*context);
  if (access.ok()) *response = service_.model_info();
  return FinishUnary(context, access);
}

grpc::ServerUnaryReactor* GrpcGateway::GetStatus(grpc::CallbackServerContext* context,
                                                 const sdar::v1::GetStatusRequest*,
                                                 sdar::v1::GetStatusResponse* response) {
  const absl::Status access = CheckAccess(*context);
  if (access.ok()) *response = service_.GetStatus();
  return FinishUnary(context, access);
}

}  // namespace sdar
