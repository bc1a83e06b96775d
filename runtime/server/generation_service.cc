// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/generation_service.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"
#include "runtime/server/request_identity.h"

namespace sdar {
namespace {

// Of a request id that others have too.
constexpr size_t kSuffixDigits = 8;

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

ServerMetricsOptions MetricsOptions(const GenerationService::Config& config,
                                    const RequestLimits& limits) {
  const sdar::v1::GetModelInfoResponse& info = config.model_info;
  ServerMetricsOptions options;
  options.model_name = config.model_name;
  options.version = info.version();
  options.backend = info.backend();
  options.dtype = info.dtype();
  options.ranks = info.ranks();
  options.replicas = info.replicas();
  options.max_sequence_length = info.max_sequence_length();
  options.page_size = limits.page_size;
  options.num_pages = limits.num_pages;
  options.load_phases = config.load_phases;
  return options;
}

}  // namespace

GenerationService::GenerationService(Config config, const TextCodec& text, Router& router)
    : config_(std::move(config)),
      text_(text),
      router_(router),
      metrics_(MetricsOptions(config_, router.config().limits)) {}

absl::Status GenerationService::CheckAccess(absl::string_view authorization) const {
  return config_.access == nullptr ? absl::OkStatus() : config_.access->Check(authorization);
}

bool GenerationService::IsOpen(const std::string& request_id) const {
  const auto with_id = by_id_.find(request_id);
  return with_id != by_id_.end() && !with_id->second->ended();
}

// The id that a call gets: its own where that is free or may be told from the others' by a suffix.
absl::StatusOr<std::string> GenerationService::TakeRequestId(const GenerationCall& call) {
  if (call.request_id.empty()) return NewRequestId();
  if (!IsOpen(call.request_id)) return call.request_id;
  if (!call.may_extend_request_id) {
    return absl::AlreadyExistsError(
        absl::StrCat("request_id: an open call has the id '", call.request_id, "'"));
  }
  while (true) {
    const std::string extended =
        absl::StrCat(call.request_id, "-", NewIdentifier().substr(0, kSuffixDigits));
    if (!IsOpen(extended)) return extended;
  }
}

absl::StatusOr<std::shared_ptr<GenerateStream>> GenerationService::Register(
    const GenerationCall& call, GenerateStream::Options options) {
  absl::MutexLock lock(&mutex_);
  if (!call.continues) SDAR_RETURN_IF_ERROR(refusal_);
  SDAR_ASSIGN_OR_RETURN(options.request_id, TakeRequestId(call));
  auto stream =
      std::make_shared<GenerateStream>(std::move(options), router_, text_.tokenizer(), metrics_);
  by_id_[stream->request_id()] = stream;
  open_.insert(stream);
  return stream;
}

void GenerationService::Close(const std::shared_ptr<GenerateStream>& stream) {
  absl::MutexLock lock(&mutex_);
  open_.erase(stream);
  closed_.NotifyAll();
  const auto with_id = by_id_.find(stream->request_id());
  if (with_id != by_id_.end() && with_id->second == stream) by_id_.erase(with_id);
}

absl::StatusOr<std::shared_ptr<GenerateStream>> GenerationService::Open(GenerationCall call) {
  auto stream = TryOpen(std::move(call));
  if (!stream.ok()) CountRefusal(stream.status());
  return stream;
}

absl::StatusOr<std::vector<GenerationRequest>> GenerationService::BuildSamples(
    GenerationCall& call) const {
  const RequestLimits& limits = router_.config().limits;
  if (call.scores == nullptr) {
    return BuildRequests(call.fields, std::move(call.prompt), config_.defaults, limits);
  }
  SDAR_ASSIGN_OR_RETURN(GenerationRequest request,
                        BuildScoreRequest(call.score_fields, std::move(call.prompt),
                                          std::move(call.targets), config_.defaults, limits));
  return std::vector<GenerationRequest>{std::move(request)};
}

absl::Status GenerationService::Check(GenerationCall call) {
  absl::Status status = BuildSamples(call).status();
  if (!status.ok()) CountRefusal(status);
  return status;
}

// Absent where nobody wants its spans.
std::optional<CallTrace::Call> GenerationService::TraceOf(
    const GenerationCall& call, const std::vector<GenerationRequest>& samples) const {
  if (config_.traces == nullptr || !call.trace.sampled) return std::nullopt;
  CallTrace::Call trace;
  trace.parent = call.trace;
  trace.model = config_.model_name;
  trace.arrival = call.arrival;
  trace.prompt_tokens = static_cast<int64_t>(samples[0].prompt.size());
  trace.num_samples = static_cast<int>(samples.size());
  trace.block_length = samples[0].remasking.block_length;
  trace.scores = samples[0].scores();
  return trace;
}

absl::StatusOr<std::shared_ptr<GenerateStream>> GenerationService::TryOpen(GenerationCall call) {
  const auto prompt_tokens = static_cast<int64_t>(call.prompt.size());
  SDAR_ASSIGN_OR_RETURN(std::vector<GenerationRequest> samples, BuildSamples(call));
  GenerateStream::Options options;
  options.trace_id = call.trace.trace_id;
  options.trace = TraceOf(call, samples);
  options.traces = config_.traces;
  options.arrival = call.arrival;
  options.prompt_tokens = prompt_tokens;
  options.num_samples = static_cast<int>(samples.size());
  options.max_tokens = samples[0].scores() ? 0 : samples[0].stopping.max_tokens;
  options.with_logprobs = call.fields.logprobs.has_value();
  options.scores = call.scores;
  options.max_backlog_bytes = config_.max_backlog_bytes;
  for (GenerationRequest& sample : samples) {
    sample.provisional = call.provisional;
    sample.deadline = call.deadline;
    options.seeds.push_back(sample.sampling.seed);
  }
  SDAR_ASSIGN_OR_RETURN(auto stream, Register(call, std::move(options)));
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

void GenerationService::Retire(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  if (retirement_.ok()) retirement_ = why;
}

bool GenerationService::IsLeaving() const {
  absl::MutexLock lock(&mutex_);
  return !retirement_.ok() || !refusal_.ok();
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
  view.refusal = refusal_.ok() ? retirement_ : refusal_;
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
  view.dropped_log_lines = NumDroppedLogLines();
  view.dropped_spans = config_.traces == nullptr ? 0 : config_.traces->num_dropped();
  return metrics_.Scrape(view);
}

absl::Status GenerationService::Abort(const std::string& request_id) {
  std::shared_ptr<GenerateStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    const auto with_id = by_id_.find(request_id);
    if (with_id != by_id_.end()) stream = with_id->second;
  }
  if (stream != nullptr && stream->Fail(absl::CancelledError("Abort was called"))) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("request_id: no open call has the id '", request_id, "'"));
}

sdar::v1::GetStatusResponse GenerationService::GetStatus() const {
  sdar::v1::GetStatusResponse response;
  const RouterStatus status = router_.GetStatus();
  FillTotals(status.total, response);
  for (const EngineStatus& replica : status.replicas) {
    FillReplica(replica, *response.add_replicas());
  }
  response.set_unhealthy(FindTrouble());
  const SteadyTime now = SteadyTime::Now();
  for (const RankHealth& rank : HealthOfRanks(status.replicas[0], now)) {
    response.add_rank_steps(rank.finished_steps);
    response.add_rank_silence_seconds(absl::ToDoubleSeconds(now - rank.last_heard));
  }
  return response;
}

}  // namespace sdar
