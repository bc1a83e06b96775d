// SPDX-License-Identifier: Apache-2.0
// A GenerateStream's call over HTTP.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"

#include "common/json.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/http/http_exchange.h"
#include "runtime/server/http/openai_answer.h"

namespace sdar {

// Lives until its stream is done. What it does runs on the exchange's thread, a step at a time.
class HttpCall : public std::enable_shared_from_this<HttpCall> {
 public:
  HttpCall(HttpExchange exchange, std::shared_ptr<GenerateStream> stream, OpenAiAnswer answer,
           bool stream_events, bool include_usage);

  // Begins the call; on_done is called when it is over.
  void Begin(std::function<void()> on_done);

 private:
  void Write(const sdar::v1::GenerateResponse& response);
  void Finish(const absl::Status& status);
  void FinishEvents(const absl::Status& status);

  HttpExchange exchange_;
  std::shared_ptr<GenerateStream> stream_;
  OpenAiAnswer answer_;
  const bool stream_events_;
  const bool include_usage_;
  bool sent_ = false;  // some of the events
};

// What refuses a request.
HttpResponse ErrorResponse(const absl::Status& status);
// The same for what HTTP has a code of its own for.
HttpResponse FaultResponse(int code, const std::string& message);
HttpResponse JsonResponse(const Json& body);

}  // namespace sdar
