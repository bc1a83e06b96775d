// SPDX-License-Identifier: Apache-2.0
// A body's calls of the service over HTTP: one for each of its prompts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "runtime/server/api/answers/answer_form.h"
#include "runtime/server/api/api_call.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/http/http_exchange.h"

namespace sdar {

// Lives until all its streams are done. What it does after Start runs on the exchange's thread, a
// step at a time.
//
//     prompt 0   [score, where its own tokens are asked about] --> [generate] --+
//     prompt 1   ...                                                            +--> form
//     prompt 2   waits until one of those before it has ended                 --+     --> exchange
//
// A few prompts are with the service at a time, so that a long list leaves room in the queue for
// others.
class HttpCall : public std::enable_shared_from_this<HttpCall> {
 public:
  HttpCall(HttpExchange exchange, GenerationService& service, ApiCall call, AnswerForm form);

  // Opens the first call and begins all. An error refuses the request: nothing has begun then, and
  // `exchange` is the caller's again.
  absl::Status Start();
  HttpExchange& exchange() { return exchange_; }

 private:
  // One prompt on its way. Its streams follow each other.
  struct Part {
    size_t prompt = 0;
    bool scores = false;
    std::shared_ptr<sdar::v1::ScoreResponse> answer;  // of a stream that scores
    std::shared_ptr<GenerateStream> stream;
  };

  absl::Status Check() const;
  GenerationCall MakeCall(size_t prompt, bool scores) const;
  absl::StatusOr<std::shared_ptr<Part>> Open(size_t prompt, bool scores);
  void Begin(const std::shared_ptr<Part>& part);
  void OpenMore();
  void Write(const std::shared_ptr<Part>& part, const sdar::v1::GenerateResponse& response);
  void Finish(const std::shared_ptr<Part>& part, const absl::Status& status);
  void Advance(const std::shared_ptr<Part>& part);
  void Fail(const absl::Status& status);
  void ConcludeIfOver(const std::shared_ptr<Part>& last);
  void Send(const std::string& events, const std::shared_ptr<GenerateStream>& writer);
  void Flush();

  HttpExchange exchange_;
  GenerationService& service_;
  const ApiCall call_;
  AnswerForm form_;

  std::vector<std::shared_ptr<Part>> active_;  // opened, and not finished
  size_t next_prompt_ = 0;
  absl::Status failure_;
  bool concluded_ = false;
  // Of the event stream.
  bool begun_ = false;                                    // some of it was sent
  bool sending_ = false;                                  // a piece is on its way
  std::string outbox_;                                    // what follows it
  std::vector<std::shared_ptr<GenerateStream>> writers_;  // whose responses are in the outbox
};

}  // namespace sdar
