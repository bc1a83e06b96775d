// SPDX-License-Identifier: Apache-2.0
// A call's answer in the form of OpenAI's Responses API.
#pragma once

#include "runtime/server/api/answers/answer_form.h"

namespace sdar {

// Events from response.created to response.completed (or .incomplete, .failed), or one response.
AnswerForm MakeResponsesAnswer(const ApiCall& call, AnswerIdentity identity,
                               const Tokenizer& tokenizer);

}  // namespace sdar
