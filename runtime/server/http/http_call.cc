// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_call.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"
#include "runtime/cluster/retry_delay.h"
#include "runtime/server/http/api_routes.h"

namespace sdar {
namespace {

// Samples of one body that are with the service at a time, but for one prompt.
constexpr size_t kMaxActiveSamples = 64;

bool IsFullQueue(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && RetryDelay(status).has_value();
}

}  // namespace

HttpCall::HttpCall(HttpExchange exchange, GenerationService& service, ApiCall call, AnswerForm form)
    : exchange_(std::move(exchange)),
      service_(service),
      call_(std::move(call)),
      form_(std::move(form)) {}

GenerationCall HttpCall::MakeCall(size_t prompt, bool scores) const {
  GenerationCall call = call_.call;
  // The prompts after the first have its id with a suffix.
  if (prompt > 0) call.may_extend_request_id = true;
  call.continues = next_prompt_ > 0;
  call.prompt = call_.prompts[prompt];
  if (!scores) return call;
  call.scores = std::make_shared<sdar::v1::ScoreResponse>();
  if (call.targets.empty()) call.targets = std::exchange(call.prompt, {});
  return call;
}

// What is wrong with any of the prompts refuses all of them.
absl::Status HttpCall::Check() const {
  for (size_t i = 0; i < call_.prompts.size(); ++i) {
    if (call_.generates) SDAR_RETURN_IF_ERROR(service_.Check(MakeCall(i, false)));
    if (call_.scores_prompts()) SDAR_RETURN_IF_ERROR(service_.Check(MakeCall(i, true)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<HttpCall::Part>> HttpCall::Open(size_t prompt, bool scores) {
  GenerationCall call = MakeCall(prompt, scores);
  auto part = std::make_shared<Part>();
  part->prompt = prompt;
  part->scores = scores;
  part->answer = call.scores;
  SDAR_ASSIGN_OR_RETURN(part->stream, service_.Open(std::move(call)));
  active_.push_back(part);
  return part;
}

absl::Status HttpCall::Start() {
  // One prompt that is not scored is checked where it is opened.
  if (call_.prompts.size() > 1 || call_.scores_prompts()) SDAR_RETURN_IF_ERROR(Check());
  SDAR_ASSIGN_OR_RETURN(const std::shared_ptr<Part> first, Open(0, call_.scores_prompts()));
  exchange_.add_header("X-Request-Id", first->stream->request_id());
  const auto self = shared_from_this();
  next_prompt_ = 1;
  exchange_.on_gone([self] { self->Fail(absl::CancelledError("cancelled by the client")); });
  exchange_.post([self, first] {
    self->Begin(first);
    self->OpenMore();
  });
  return absl::OkStatus();
}

void HttpCall::Begin(const std::shared_ptr<Part>& part) {
  const auto self = shared_from_this();
  // The sink is called under the stream's lock; what is to be done waits until it is free.
  part->stream->Begin(
      {[self, part](const sdar::v1::GenerateResponse& response) {
         self->exchange_.post([self, part, &response] { self->Write(part, response); });
       },
       [self, part](const absl::Status& status) {
         self->exchange_.post([self, part, status] { self->Finish(part, status); });
       }},
      [&service = service_, stream = part->stream] { service.Close(stream); });
}

void HttpCall::OpenMore() {
  const size_t most = std::max<size_t>(1, kMaxActiveSamples / call_.samples_per_prompt());
  while (failure_.ok() && next_prompt_ < call_.prompts.size() && active_.size() < most) {
    auto part = Open(next_prompt_, call_.scores_prompts());
    // One of its own that ends makes room.
    if (!part.ok() && IsFullQueue(part.status()) && !active_.empty()) return;
    if (!part.ok()) return Fail(part.status());
    ++next_prompt_;
    Begin(*part);
  }
}

void HttpCall::Write(const std::shared_ptr<Part>& part,
                     const sdar::v1::GenerateResponse& response) {
  const std::string events = form_.take(part->prompt, response);
  if (!call_.stream || events.empty()) return part->stream->WriteDone(true);
  Send(events, part->stream);
}

void HttpCall::Finish(const std::shared_ptr<Part>& part, const absl::Status& status) {
  active_.erase(std::find(active_.begin(), active_.end(), part));
  if (!status.ok()) {
    Fail(status);
  } else if (failure_.ok()) {
    Advance(part);
  }
  ConcludeIfOver(part);
}

// A stream of a prompt has ended well: on to its next one, or to the next prompts.
void HttpCall::Advance(const std::shared_ptr<Part>& part) {
  if (part->scores) {
    Send(form_.take_scores(part->prompt, *part->answer), nullptr);
    if (call_.generates) {
      auto next = Open(part->prompt, false);
      if (!next.ok()) return Fail(next.status());
      Begin(*next);
    }
  }
  OpenMore();
}

void HttpCall::Fail(const absl::Status& status) {
  if (!failure_.ok() || concluded_) return;
  failure_ = status;
  // A copy: what is cancelled may end at once.
  const std::vector<std::shared_ptr<Part>> active = active_;
  for (const auto& part : active) part->stream->Fail(status);
}

// The last of the streams is done when the answer has left, so that a server that drains waits for
// it.
void HttpCall::ConcludeIfOver(const std::shared_ptr<Part>& last) {
  const bool over = active_.empty() && (!failure_.ok() || next_prompt_ == call_.prompts.size());
  if (!over) return last->stream->Done();
  concluded_ = true;
  exchange_.on_ended([stream = last->stream] { stream->Done(); });
  if (!call_.stream || (!failure_.ok() && !begun_)) {
    exchange_.respond(failure_.ok() ? JsonResponse(form_.body())
                                    : RefusalOf(exchange_.request.path, failure_));
    return;
  }
  Send(form_.end(failure_), nullptr);
  if (!sending_) exchange_.end();
}

// writer: whose response has made the events; it goes on when they are sent. Null: none waits.
void HttpCall::Send(const std::string& events, const std::shared_ptr<GenerateStream>& writer) {
  if (!call_.stream || events.empty()) return;
  outbox_ += events;
  if (writer != nullptr) writers_.push_back(writer);
  if (!sending_) Flush();
}

void HttpCall::Flush() {
  sending_ = true;
  begun_ = true;
  exchange_.send(std::exchange(outbox_, {}),
                 [self = shared_from_this(), writers = std::exchange(writers_, {})](bool ok) {
                   self->sending_ = false;
                   for (const auto& stream : writers) stream->WriteDone(ok);
                   if (!self->outbox_.empty()) return self->Flush();
                   if (self->concluded_) self->exchange_.end();
                 });
}

}  // namespace sdar
