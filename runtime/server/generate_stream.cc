// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/generate_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "common/log.h"
#include "common/steady_time.h"

namespace sdar {

using sdar::v1::GenerateResponse;

namespace {

void FillTop(const RevealedToken& token, sdar::v1::Delta::Top& top) {
  for (const TokenLogprob& t : token.top) {
    sdar::v1::TokenLogprob& alternative = *top.add_alternatives();
    alternative.set_id(static_cast<uint32_t>(t.id));
    alternative.set_logprob(static_cast<float>(t.logprob));
  }
}

void FillUsage(const SequenceUsage& from, sdar::v1::Usage& usage) {
  usage.set_prompt_tokens(static_cast<uint32_t>(from.prompt_tokens));
  usage.set_completion_tokens(static_cast<uint32_t>(from.completion_tokens));
  usage.set_denoising_steps(static_cast<uint32_t>(from.denoising_steps));
  usage.set_forward_passes(static_cast<uint32_t>(from.forward_passes));
  usage.set_cached_tokens(static_cast<uint32_t>(from.cached_tokens));
  usage.set_preemptions(static_cast<uint32_t>(from.preemptions));
  usage.set_forced_tokens(static_cast<uint32_t>(from.forced_tokens));
}

}  // namespace

GenerateStream::GenerateStream(Options options, Router& router, const Tokenizer& tokenizer,
                               ServerMetrics& metrics)
    : options_(std::move(options)),
      router_(router),
      tokenizer_(tokenizer),
      samples_left_(options_.num_samples),
      record_({options_.arrival, options_.prompt_tokens, options_.num_samples, options_.max_tokens,
               options_.scores != nullptr},
              metrics) {
  if (options_.scores != nullptr) options_.scores->set_request_id(options_.request_id);
  trace_id_ = options_.trace_id;
  if (!options_.trace) return;
  CallTrace::Call call = *options_.trace;
  call.request_id = options_.request_id;
  trace_.emplace(std::move(call));
  trace_id_ = trace_->trace_id();
}

void GenerateStream::Begin(StreamSink sink, std::function<void()> on_done) {
  absl::MutexLock lock(&mutex_);
  on_done_ = std::move(on_done);
  sink_ = std::move(sink);
  WriteNext();
}

void GenerateStream::AddSequence(SequenceId id) {
  absl::Status cancelled;
  {
    absl::MutexLock lock(&mutex_);
    sequences_.push_back(id);
    cancelled = cancelled_;
  }
  if (!cancelled.ok()) router_.Cancel(id, cancelled);
}

void GenerateStream::CancelSequences(const absl::Status& status) {
  std::vector<SequenceId> sequences;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_.ok()) cancelled_ = status;
    sequences = sequences_;
  }
  for (SequenceId id : sequences) router_.Cancel(id, status);
}

void GenerateStream::Update(int index, const SequenceUpdate& update) {
  absl::Status failed;
  {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) {
      record_.Note(index, update, SteadyTime::Now());
      if (trace_) trace_->Note(index, update, SteadyTime::Now());
      Take(index, update);
    }
    if (update.end) --samples_left_;
    if (backlog_bytes_ > options_.max_backlog_bytes) {
      SetFailed(absl::ResourceExhaustedError(absl::StrCat("the client reads too slowly: more than ",
                                                          options_.max_backlog_bytes,
                                                          " bytes of its answer were waiting")));
      failed = status_;
    }
    WriteNext();
  }
  if (!failed.ok()) CancelSequences(failed);
}

void GenerateStream::TakeScores(const SequenceUpdate& update) {
  sdar::v1::ScoreResponse& scores = *options_.scores;
  for (const RevealedToken& token : update.tokens) {
    scores.add_token_ids(static_cast<uint32_t>(token.id));
    scores.add_logprobs(static_cast<float>(token.logprob));
    scores.set_sum(scores.sum() + token.logprob);
    scores.add_greedy(token.greedy);
    if (!token.top.empty()) FillTop(token, *scores.add_top());
  }
  if (!update.end) return;
  if (!update.end->status.ok()) SetFailed(update.end->status);
  FillUsage(update.end->usage, *scores.mutable_usage());
}

void GenerateStream::Take(int index, const SequenceUpdate& update) {
  if (options_.scores != nullptr) return TakeScores(update);
  if (!update.text.empty() || !update.tokens.empty()) {
    GenerateResponse response = NewResponse();
    FillDelta(index, update, *response.mutable_delta());
    Push(std::move(response));
  }
  if (update.provisional) {
    GenerateResponse response = NewResponse();
    FillProvisional(index, *update.provisional, *response.mutable_provisional());
    Push(std::move(response));
  }
  if (!update.end) return;
  if (!update.end->status.ok()) {
    SetFailed(update.end->status);
    return;
  }
  GenerateResponse response = NewResponse();
  FillFinished(index, *update.end, *response.mutable_finished());
  Push(std::move(response));
}

bool GenerateStream::Fail(const absl::Status& status) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    first = SetFailed(status) && !finished_;
    WriteNext();
  }
  CancelSequences(status);
  return first;
}

bool GenerateStream::SetFailed(const absl::Status& status) {
  queue_.resize(writing_ ? 1 : 0);  // the transport still holds the one that is on its way
  backlog_bytes_ = 0;
  if (!status_.ok()) return false;
  status_ = status;
  return true;
}

bool GenerateStream::ended() const {
  absl::MutexLock lock(&mutex_);
  return finished_;
}

// Queues a response.
void GenerateStream::Push(GenerateResponse response) {
  const size_t bytes = response.ByteSizeLong();
  if (Join(response, bytes)) return;
  queue_.push_back({std::move(response), bytes});
  backlog_bytes_ += bytes;
}

// Makes a response one with the last that waits, where that says the same to the reader.
bool GenerateStream::Join(GenerateResponse& response, size_t bytes) {
  if (queue_.size() <= (writing_ ? 1u : 0u)) return false;
  Waiting& last = queue_.back();
  if (response.has_delta() && last.response.has_delta() &&
      last.response.delta().index() == response.delta().index()) {
    sdar::v1::Delta& delta = *last.response.mutable_delta();
    std::string text = std::move(*delta.mutable_text()) + response.delta().text();
    delta.MergeFrom(response.delta());
    delta.set_text(std::move(text));
    last.bytes += bytes;
    backlog_bytes_ += bytes;
    return true;
  }
  // A reader who keeps up sees every state of a block; one who falls behind, the newest.
  if (backlog_bytes_ > options_.max_backlog_bytes / 2 && response.has_provisional() &&
      last.response.has_provisional() &&
      last.response.provisional().index() == response.provisional().index()) {
    backlog_bytes_ += bytes - last.bytes;
    last = {std::move(response), bytes};
    return true;
  }
  return false;
}

// Starts the next write, or ends the call when there is nothing left to say.
void GenerateStream::WriteNext() {
  if (sink_.write == nullptr || writing_ || finished_) return;
  if (status_.ok() && !queue_.empty()) {
    writing_ = true;
    sent_ = true;
    backlog_bytes_ -= queue_.front().bytes;
    sink_.write(queue_.front().response);
    return;
  }
  if (status_.ok() && samples_left_ > 0) return;
  finished_ = true;
  record_.End(status_, SteadyTime::Now());  // before the client can ask for the metrics
  if (trace_) trace_->End(status_);
  const bool cut = sent_ && absl::IsUnavailable(status_);
  sink_.finish(cut ? absl::AbortedError(status_.message()) : status_);
}

void GenerateStream::WriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) SetFailed(absl::CancelledError("the client is gone"));
    WriteNext();
  }
  if (!ok) CancelSequences(absl::CancelledError("the client is gone"));
}

void GenerateStream::Done() {
  bool running;
  Json summary;
  std::vector<Span> spans;
  std::function<void()> on_done;
  {
    absl::MutexLock lock(&mutex_);
    sink_ = {};
    running = samples_left_ > 0;
    summary = record_.Summary();
    spans = TakeSpans();
    on_done = std::move(on_done_);  // it may hold the last reference to this
  }
  if (running) CancelSequences(absl::CancelledError("the call is over"));
  LogEnd(summary);
  if (!spans.empty()) options_.traces->Add(std::move(spans));
  on_done();
}

std::vector<Span> GenerateStream::TakeSpans() {
  if (!trace_) return {};
  return trace_->Spans(SteadyTime::Now(), absl::ToUnixNanos(absl::Now()));
}

void GenerateStream::LogEnd(const Json& summary) const {
  Json fields = {{"request_id", options_.request_id}};
  if (!trace_id_.empty()) fields["trace_id"] = trace_id_;
  fields.update(summary);
  LogEvent(*spdlog::default_logger(), spdlog::level::info, "request finished", fields);
}

GenerateResponse GenerateStream::NewResponse() const {
  GenerateResponse response;
  response.set_request_id(options_.request_id);
  return response;
}

void GenerateStream::FillDelta(int index, const SequenceUpdate& update,
                               sdar::v1::Delta& delta) const {
  delta.set_index(static_cast<uint32_t>(index));
  delta.set_text(update.text);
  for (const RevealedToken& token : update.tokens) {
    delta.add_token_ids(static_cast<uint32_t>(token.id));
    if (!options_.with_logprobs) continue;
    delta.add_logprobs(static_cast<float>(token.logprob));
    delta.add_entropies(static_cast<float>(token.entropy));
    delta.add_steps(static_cast<uint32_t>(token.step));
    FillTop(token, *delta.add_top());
  }
}

void GenerateStream::FillProvisional(int index, const ProvisionalBlock& block,
                                     sdar::v1::Provisional& provisional) const {
  provisional.set_index(static_cast<uint32_t>(index));
  provisional.set_block(static_cast<uint32_t>(block.block));
  provisional.set_step(static_cast<uint32_t>(block.step));
  for (size_t i = 0; i < block.positions.size(); ++i) {
    const ProvisionalBlock::Position& from = block.positions[i];
    if (from.given) continue;
    sdar::v1::Provisional::Position& position = *provisional.add_positions();
    position.set_position(static_cast<uint32_t>(i));
    position.set_masked(from.masked);
    position.set_token_id(static_cast<uint32_t>(from.id));
    position.set_text(tokenizer_.Decode({from.id}, false));
    position.set_confidence(static_cast<float>(from.confidence));
  }
}

void GenerateStream::FillFinished(int index, const SequenceEnd& end,
                                  sdar::v1::Finished& finished) const {
  finished.set_index(static_cast<uint32_t>(index));
  finished.set_reason(end.reason == FinishReason::kStop ? sdar::v1::Finished::STOP
                                                        : sdar::v1::Finished::LENGTH);
  if (end.stop_token) finished.set_stop_token_id(static_cast<uint32_t>(*end.stop_token));
  if (end.stop_string) finished.set_stop_string(*end.stop_string);
  FillUsage(end.usage, *finished.mutable_usage());
  finished.set_seed(options_.seeds[static_cast<size_t>(index)]);
}

}  // namespace sdar
