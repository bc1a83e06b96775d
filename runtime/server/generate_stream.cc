// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/generate_stream.h"

#include <utility>

#include "runtime/server/request_translation.h"

namespace sdar {

using sdar::v1::GenerateResponse;

class GenerateStream::Reactor : public grpc::ServerWriteReactor<GenerateResponse> {
 public:
  explicit Reactor(std::shared_ptr<GenerateStream> stream) : stream_(std::move(stream)) {}
  void OnWriteDone(bool ok) override { stream_->OnWriteDone(ok); }
  void OnCancel() override { stream_->OnCancel(); }
  void OnDone() override {
    stream_->OnDone();
    delete this;
  }

 private:
  std::shared_ptr<GenerateStream> stream_;
};

GenerateStream::GenerateStream(Options options, Router& router, const Tokenizer& tokenizer)
    : options_(std::move(options)),
      router_(router),
      tokenizer_(tokenizer),
      samples_left_(options_.num_samples) {}

grpc::ServerWriteReactor<GenerateResponse>* GenerateStream::MakeReactor(
    std::function<void()> on_done) {
  auto* reactor = new Reactor(shared_from_this());
  absl::MutexLock lock(&mutex_);
  on_done_ = std::move(on_done);
  reactor_ = reactor;
  WriteNext();
  return reactor;
}

void GenerateStream::AddSequence(SequenceId id) {
  {
    absl::MutexLock lock(&mutex_);
    sequences_.push_back(id);
    if (!cancelled_) return;
  }
  router_.Cancel(id, absl::CancelledError("cancelled by the client"));
}

void GenerateStream::CancelSequences() {
  std::vector<SequenceId> sequences;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    sequences = sequences_;
  }
  for (SequenceId id : sequences) {
    router_.Cancel(id, absl::CancelledError("cancelled by the client"));
  }
}

void GenerateStream::Update(int index, SequenceUpdate update) {
  absl::MutexLock lock(&mutex_);
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
  if (update.end) {
    --samples_left_;
    if (!update.end->status.ok()) {
      if (status_.ok()) status_ = update.end->status;
    } else {
      GenerateResponse response = NewResponse();
      FillFinished(index, *update.end, *response.mutable_finished());
      Push(std::move(response));
    }
  }
  WriteNext();
}

void GenerateStream::Fail(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
    WriteNext();
  }
  CancelSequences();
}

// Queues a response, joined with the last one that waits where that says the same to the reader.
void GenerateStream::Push(GenerateResponse response) {
  const bool last_waits = queue_.size() > (writing_ ? 1u : 0u);
  GenerateResponse* last = last_waits ? &queue_.back() : nullptr;
  if (last != nullptr && response.has_delta() && last->has_delta() &&
      last->delta().index() == response.delta().index()) {
    last->mutable_delta()->mutable_text()->append(response.delta().text());
    response.mutable_delta()->clear_text();
    std::string text = std::move(*last->mutable_delta()->mutable_text());
    last->mutable_delta()->MergeFrom(response.delta());
    last->mutable_delta()->set_text(std::move(text));
    return;
  }
  if (last != nullptr && response.has_provisional() && last->has_provisional() &&
      last->provisional().index() == response.provisional().index()) {
    *last = std::move(response);
    return;
  }
  queue_.push_back(std::move(response));
}

// Starts the next write, or ends the call when there is nothing left to say.
void GenerateStream::WriteNext() {
  if (reactor_ == nullptr || writing_ || finished_) return;
  if (status_.ok() && !queue_.empty()) {
    writing_ = true;
    reactor_->StartWrite(&queue_.front());
    return;
  }
  if (status_.ok() && samples_left_ > 0) return;
  finished_ = true;
  reactor_->Finish(ToGrpc(status_));
}

void GenerateStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok && status_.ok()) status_ = absl::CancelledError("the client is gone");
    WriteNext();
  }
  if (!ok) CancelSequences();
}

void GenerateStream::OnCancel() { Fail(absl::CancelledError("cancelled by the client")); }

void GenerateStream::OnDone() {
  bool running;
  std::function<void()> on_done;
  {
    absl::MutexLock lock(&mutex_);
    reactor_ = nullptr;
    running = samples_left_ > 0;
    on_done = std::move(on_done_);  // it may hold the last reference to this
  }
  if (running) CancelSequences();
  on_done();
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
    sdar::v1::Delta::Top& top = *delta.add_top();
    for (const TokenLogprob& t : token.top) {
      sdar::v1::TokenLogprob& alternative = *top.add_alternatives();
      alternative.set_id(static_cast<uint32_t>(t.id));
      alternative.set_logprob(static_cast<float>(t.logprob));
    }
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
  sdar::v1::Usage& usage = *finished.mutable_usage();
  usage.set_prompt_tokens(static_cast<uint32_t>(end.usage.prompt_tokens));
  usage.set_completion_tokens(static_cast<uint32_t>(end.usage.completion_tokens));
  usage.set_denoising_steps(static_cast<uint32_t>(end.usage.denoising_steps));
  usage.set_forward_passes(static_cast<uint32_t>(end.usage.forward_passes));
  usage.set_cached_tokens(static_cast<uint32_t>(end.usage.cached_tokens));
  usage.set_preemptions(static_cast<uint32_t>(end.usage.preemptions));
  finished.set_seed(options_.seeds[static_cast<size_t>(index)]);
}

}  // namespace sdar
