// SPDX-License-Identifier: Apache-2.0
// How an answer is put into words: one of the APIs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "runtime/text/tokenizer.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Takes what comes of a call's prompts, each prompt's in order, and makes of it either events as it
// comes or one body in the end. One thread at a time. An event is text as server-sent events have
// it; an empty one says nothing.
struct AnswerForm {
  // News of a prompt's samples.
  std::function<std::string(size_t prompt, const sdar::v1::GenerateResponse&)> take;
  // The scores of a prompt's tokens, or of a continuation's.
  std::function<std::string(size_t prompt, const sdar::v1::ScoreResponse&)> take_scores;
  // The last events: of an answer that is complete, or that ends with an error.
  std::function<std::string(const absl::Status&)> end;
  // Requires: the answer is complete.
  std::function<Json()> body;
};

// What answers say of themselves.
struct AnswerIdentity {
  std::string id;
  int64_t created = 0;  // Unix seconds
};

// One of the APIs. Requires: the tokenizer outlives the form.
using MakeAnswerForm = AnswerForm (*)(const ApiCall& call, AnswerIdentity identity,
                                      const Tokenizer& tokenizer);

// The form of an answer to one prompt. Answer has Take(response), End(status) and Body().
template <typename Answer>
AnswerForm FormOf(std::shared_ptr<Answer> answer) {
  AnswerForm form;
  form.take = [answer](size_t, const sdar::v1::GenerateResponse& response) {
    return answer->Take(response);
  };
  form.end = [answer](const absl::Status& status) { return answer->End(status); };
  form.body = [answer] { return answer->Body(); };
  return form;
}

// "data: {..}" and an empty line; with a name in front "event: NAME".
std::string ServerSentEvent(const Json& data);
std::string ServerSentEvent(const char* name, const Json& data);

}  // namespace sdar
