// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/generation_service.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/steady_time.h"
#include "runtime/server/grpc_call.h"
#include "runtime/server/request_identity.h"
#include "runtime/server/request_translation.h"

namespace sdar {
namespace {

// The counts that a job and a replica have in common.
template <typename Message>
void FillReplica(const EngineStatus& status, Message& message) {
  message.set_running(static_cast<uint32_t>(status.running));
  message.set_waiting(static_cast<uint32_t>(status.waiting));
  message.set_free_slots(static_cast<uint32_t>(status.free_slots));
  message.set_total_slots(static_cast<uint32_t>(status.total_slots));
  message.set_free_pages(static_cast<uint32_t>(status.free_pages));
  message.set_total_pages(static_cast<uint32_t>(status.total_pages));
  message.set_finished_steps(status.finished_steps);
}

void FillTotals(const EngineStatus& total, sdar::v1::GetStatusResponse& response) {
  FillReplica(total, response);
  response.set_cached_pages(static_cast<uint32_t>(total.cached_pages));
  response.set_prefix_cache_queried_tokens(total.prefix_cache_queried_tokens);
  response.set_prefix_cache_hit_tokens(total.prefix_cache_hit_tokens);
  response.set_preemptions(total.preemptions);
  response.set_step_age_seconds(absl::ToDoubleSeconds(total.step_age));
  if (total.last_step != SteadyTime::InfinitePast()) {
    response.set_last_step_age_seconds(absl::ToDoubleSeconds(SteadyTime::Now() - total.last_step));
  }
}

// gRPC gives deadlines by the wall clock. What is left now holds, whatever that clock does later.
SteadyTime DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return SteadyTime::InfiniteFuture();
  return SteadyTime::Now() + absl::FromChrono(deadline - std::chrono::system_clock::now());
}

absl::Status CheckGrpcAccess(const GenerationService& service,
                             const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return service.CheckAccess("");
  return service.CheckAccess({found->second.data(), found->second.size()});
}

ServerMetricsOptions MetricsOptions(const GenerationService::Config& config) {
  const sdar::v1::GetModelInfoResponse& info = config.model_info;
  ServerMetricsOptions options;
  options.model_name = config.model_name;
  options.version = info.version();
  options.backend = info.backend();
  options.dtype = info.dtype();
  options.ranks = info.ranks();
  options.replicas = info.replicas();
  options.max_sequence_length = info.max_sequence_length();
  options.load_phases = config.load_phases;
  return options;
}

std::string TraceIdOfCall(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return "";
  return TraceIdOf(absl::string_view(found->second.data(), found->second.size()));
}

grpc::ServerUnaryReactor* FinishUnary(grpc::CallbackServerContext* context,
                                      const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace

GenerationService::GenerationService(Config config, const TextCodec& text, Router& router)
    : config_(std::move(config)), text_(text), router_(router), metrics_(MetricsOptions(config_)) {}

absl::Status GenerationService::CheckAccess(absl::string_view authorization) const {
  return config_.access == nullptr ? absl::OkStatus() : config_.access->Check(authorization);
}

std::string GenerationService::NewRequestId() {
  return absl::StrCat("request-", next_request_.fetch_add(1));
}

GenerateReactor* GenerationService::Generate(grpc::CallbackServerContext* context,
                                             const sdar::v1::GenerateRequest* request) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) {
    CountRefusal(access);
    return RefuseGrpcCall(access);
  }
  auto call = Translate(*request, DeadlineOf(*context));
  if (!call.ok()) {
    CountRefusal(call.status());
    return RefuseGrpcCall(call.status());
  }
  call->trace_id = TraceIdOfCall(*context);
  auto stream = Open(*std::move(call));
  if (stream.ok()) return BeginGrpcCall(*stream, [this, held = *stream] { Close(held); });
  if (const auto delay = RetryDelay(stream.status())) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms",
                                 absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
  return RefuseGrpcCall(stream.status());
}

absl::Status GenerationService::Register(const std::shared_ptr<GenerateStream>& stream) {
  absl::MutexLock lock(&mutex_);
  SDAR_RETURN_IF_ERROR(refusal_);
  std::shared_ptr<GenerateStream>& with_id = by_id_[stream->request_id()];
  if (with_id != nullptr && !with_id->ended()) {
    return absl::AlreadyExistsError(
        absl::StrCat("request_id: an open call has the id '", stream->request_id(), "'"));
  }
  with_id = stream;
  open_.insert(stream);
  return absl::OkStatus();
}

void GenerationService::Close(const std::shared_ptr<GenerateStream>& stream) {
  absl::MutexLock lock(&mutex_);
  open_.erase(stream);
  closed_.NotifyAll();
  const auto with_id = by_id_.find(stream->request_id());
  if (with_id != by_id_.end() && with_id->second == stream) by_id_.erase(with_id);
}

absl::StatusOr<GenerationCall> GenerationService::Translate(
    const sdar::v1::GenerateRequest& request, SteadyTime call_deadline) const {
  GenerationCall call;
  call.request_id = request.request_id();
  SDAR_ASSIGN_OR_RETURN(call.fields, TranslateFields(request));
  SDAR_ASSIGN_OR_RETURN(call.deadline,
                        TranslateDeadline(request, call_deadline, SteadyTime::Now()));
  SDAR_ASSIGN_OR_RETURN(call.prompt, TranslatePrompt(request, text_));
  call.provisional = request.output().provisional();
  return call;
}

absl::StatusOr<std::shared_ptr<GenerateStream>> GenerationService::Open(GenerationCall call) {
  auto stream = TryOpen(std::move(call));
  if (!stream.ok()) CountRefusal(stream.status());
  return stream;
}

absl::StatusOr<std::shared_ptr<GenerateStream>> GenerationService::TryOpen(GenerationCall call) {
  const auto prompt_tokens = static_cast<int64_t>(call.prompt.size());
  SDAR_ASSIGN_OR_RETURN(std::vector<GenerationRequest> samples,
                        BuildRequests(call.fields, std::move(call.prompt), config_.defaults,
                                      router_.config().limits));
  GenerateStream::Options options;
  options.request_id = call.request_id.empty() ? NewRequestId() : std::move(call.request_id);
  options.trace_id = std::move(call.trace_id);
  options.arrival = call.arrival;
  options.prompt_tokens = prompt_tokens;
  options.num_samples = static_cast<int>(samples.size());
  options.with_logprobs = call.fields.logprobs.has_value();
  options.max_backlog_bytes = config_.max_backlog_bytes;
  for (GenerationRequest& sample : samples) {
    sample.provisional = call.provisional;
    sample.deadline = call.deadline;
    options.seeds.push_back(sample.sampling.seed);
  }
  auto stream =
      std::make_shared<GenerateStream>(std::move(options), router_, text_.tokenizer(), metrics_);
  SDAR_RETURN_IF_ERROR(Register(stream));
  const absl::Status submitted = Submit(std::move(samples), stream);
  if (submitted.ok()) return stream;
  Close(stream);
  return submitted;
}

absl::Status GenerationService::Submit(std::vector<GenerationRequest> samples,
                                       const std::shared_ptr<GenerateStream>& stream) {
  std::vector<Submission> submissions;
  for (size_t i = 0; i < samples.size(); ++i) {
    const int index = static_cast<int>(i);
    submissions.push_back(
        {std::move(samples[i]), delivery_.Later([stream, index](const SequenceUpdate& update) {
           stream->Update(index, update);
         })});
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<SequenceId> ids, router_.Submit(std::move(submissions)));
  for (SequenceId id : ids) stream->AddSequence(id);
  return absl::OkStatus();
}

void GenerationService::Refuse(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (refusal_.ok()) refusal_ = status;
}

void GenerationService::FailAll(const absl::Status& status, absl::Duration timeout) {
  Refuse(status);
  std::set<std::shared_ptr<GenerateStream>> open;
  {
    absl::MutexLock lock(&mutex_);
    open = open_;
  }
  for (const auto& stream : open) stream->Fail(status);
  absl::MutexLock lock(&mutex_);
  const auto all_over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_.empty(); };
  closed_.AwaitUntil(mutex_, SteadyTime::Now() + timeout, all_over);
}

size_t GenerationService::num_open_calls() const {
  absl::MutexLock lock(&mutex_);
  return open_.size();
}

HealthView GenerationService::View() const {
  HealthView view;
  view.step_age = router_.GetStatus().total.step_age;
  view.ranks = config_.rank_health();
  absl::MutexLock lock(&mutex_);
  view.refusal = refusal_;
  return view;
}

std::string GenerationService::FindTrouble() const {
  return sdar::FindTrouble(View(), config_.health_limits, SteadyTime::Now());
}

std::string GenerationService::FindStall() const {
  HealthView view = View();
  view.refusal = absl::OkStatus();
  return sdar::FindTrouble(view, config_.stall_limits, SteadyTime::Now());
}

std::vector<RankHealth> GenerationService::HealthOfRanks(const EngineStatus& first_replica,
                                                         SteadyTime now) const {
  std::vector<RankHealth> ranks = config_.rank_health();
  ranks[0] = {first_replica.finished_steps, now, first_replica.step_age};
  return ranks;
}

std::string GenerationService::Metrics() const {
  JobView view;
  view.now = SteadyTime::Now();
  view.status = router_.GetStatus();
  view.ranks = HealthOfRanks(view.status.replicas[0], view.now);
  view.healthy = FindTrouble().empty();
  return metrics_.Scrape(view);
}

grpc::ServerUnaryReactor* GenerationService::Abort(grpc::CallbackServerContext* context,
                                                   const sdar::v1::AbortRequest* request,
                                                   sdar::v1::AbortResponse*) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) return FinishUnary(context, access);
  std::shared_ptr<GenerateStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    const auto with_id = by_id_.find(request->request_id());
    if (with_id != by_id_.end()) stream = with_id->second;
  }
  if (stream == nullptr || !stream->Fail(absl::CancelledError("Abort was called"))) {
    return FinishUnary(context,
                       absl::NotFoundError(absl::StrCat("request_id: no open call has the id '",
                                                        request->request_id(), "'")));
  }
  return FinishUnary(context, absl::OkStatus());
}

absl::Status GenerationService::TokenizeInto(const sdar::v1::TokenizeRequest& request,
                                             sdar::v1::TokenizeResponse& response) const {
  std::string text = request.text();
  if (request.input_case() == sdar::v1::TokenizeRequest::kChat) {
    SDAR_ASSIGN_OR_RETURN(const ChatRequest chat, TranslateChat(request.chat()));
    SDAR_ASSIGN_OR_RETURN(text, text_.RenderChat(chat));
    response.set_prompt(text);
  } else if (request.input_case() != sdar::v1::TokenizeRequest::kText) {
    return absl::InvalidArgumentError("expected one of text and chat");
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, text_.tokenizer().Encode(text));
  for (TokenId id : ids) response.add_ids(static_cast<uint32_t>(id));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* GenerationService::Tokenize(grpc::CallbackServerContext* context,
                                                      const sdar::v1::TokenizeRequest* request,
                                                      sdar::v1::TokenizeResponse* response) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) return FinishUnary(context, access);
  return FinishUnary(context, TokenizeInto(*request, *response));
}

grpc::ServerUnaryReactor* GenerationService::Detokenize(grpc::CallbackServerContext* context,
                                                        const sdar::v1::DetokenizeRequest* request,
                                                        sdar::v1::DetokenizeResponse* response) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) return FinishUnary(context, access);
  std::vector<TokenId> ids;
  for (uint32_t id : request->ids()) {
    if (!text_.tokenizer().HasToken(static_cast<TokenId>(id))) {
      return FinishUnary(context, absl::InvalidArgumentError(
                                      absl::StrCat("ids: the tokenizer has no token ", id)));
    }
    ids.push_back(static_cast<TokenId>(id));
  }
  response->set_text(text_.tokenizer().Decode(ids, request->skip_special_tokens()));
  return FinishUnary(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* GenerationService::GetModelInfo(
    grpc::CallbackServerContext* context, const sdar::v1::GetModelInfoRequest*,
    sdar::v1::GetModelInfoResponse* response) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) return FinishUnary(context, access);
  *response = config_.model_info;
  return FinishUnary(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* GenerationService::GetStatus(grpc::CallbackServerContext* context,
                                                       const sdar::v1::GetStatusRequest*,
                                                       sdar::v1::GetStatusResponse* response) {
  const absl::Status access = CheckGrpcAccess(*this, *context);
  if (!access.ok()) return FinishUnary(context, access);
  const RouterStatus status = router_.GetStatus();
  FillTotals(status.total, *response);
  for (const EngineStatus& replica : status.replicas)
    FillReplica(replica, *response->add_replicas());
  response->set_unhealthy(FindTrouble());
  const SteadyTime now = SteadyTime::Now();
  for (const RankHealth& rank : HealthOfRanks(status.replicas[0], now)) {
    response->add_rank_steps(rank.finished_steps);
    response->add_rank_silence_seconds(absl::ToDoubleSeconds(now - rank.last_heard));
  }
  return FinishUnary(context, absl::OkStatus());
}

}  // namespace sdar
