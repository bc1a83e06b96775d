// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "runtime/cluster/retry_delay.h"
#include "runtime/server/http/openai_error.h"

namespace sdar {
namespace {

std::string Event(const Json& data) { return absl::StrCat("data: ", DumpJson(data), "\n\n"); }

constexpr char kLastEvent[] = "data: [DONE]\n\n";

}  // namespace

HttpResponse JsonResponse(const Json& body) {
  HttpResponse response;
  response.body = DumpJson(body);
  return response;
}

HttpResponse ErrorResponse(const absl::Status& status) {
  HttpResponse response = JsonResponse(OpenAiError(status));
  response.code = HttpCode(status);
  if (const auto delay = RetryDelay(status)) {
    const auto seconds =
        std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(*delay, absl::Seconds(1))));
    response.headers.emplace_back("Retry-After", absl::StrCat(seconds));
  }
  return response;
}

HttpResponse FaultResponse(int code, const std::string& message) {
  HttpResponse response = JsonResponse(OpenAiError(absl::UnknownError(message), code));
  response.code = code;
  if (code == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpCall::HttpCall(HttpExchange exchange, std::shared_ptr<GenerateStream> stream,
                   OpenAiAnswer answer, bool stream_events, bool include_usage)
    : exchange_(std::move(exchange)),
      stream_(std::move(stream)),
      answer_(std::move(answer)),
      stream_events_(stream_events),
      include_usage_(include_usage) {}

void HttpCall::Begin(std::function<void()> on_done) {
  const auto self = shared_from_this();
  exchange_.on_gone([self] { self->stream_->Cancelled(); });
  // The sink is called under the stream's lock; what is to be done waits until it is free.
  stream_->Begin({[self](const sdar::v1::GenerateResponse& response) {
                    self->exchange_.post([self, &response] { self->Write(response); });
                  },
                  [self](const absl::Status& status) {
                    self->exchange_.post([self, status] { self->Finish(status); });
                  }},
                 std::move(on_done));
}

void HttpCall::Write(const sdar::v1::GenerateResponse& response) {
  if (!stream_events_) {
    answer_.Add(response);
    return stream_->WriteDone(true);
  }
  std::string events;
  for (const Json& chunk : answer_.Chunks(response)) events += Event(chunk);
  if (events.empty()) return stream_->WriteDone(true);
  sent_ = true;
  exchange_.send(std::move(events),
                 [self = shared_from_this()](bool ok) { self->stream_->WriteDone(ok); });
}

void HttpCall::Finish(const absl::Status& status) {
  exchange_.on_ended([self = shared_from_this()] { self->stream_->Done(); });
  if (stream_events_ && (status.ok() || sent_)) {
    FinishEvents(status);
  } else {
    exchange_.respond(status.ok() ? JsonResponse(answer_.Body()) : ErrorResponse(status));
  }
}

void HttpCall::FinishEvents(const absl::Status& status) {
  std::string events;
  if (!status.ok()) {
    events = Event(OpenAiError(status));
  } else if (include_usage_) {
    events = Event(answer_.UsageChunk());
  }
  exchange_.send(events + kLastEvent, [self = shared_from_this()](bool) { self->exchange_.end(); });
}

}  // namespace sdar
