// SPDX-License-Identifier: Apache-2.0
// A call's answer in the form of the server's own scores.
#pragma once

#include "runtime/server/api/answers/answer_form.h"

namespace sdar {

// {"token_ids", "logprobs", "sum", "greedy", "top", "usage"}, as gRPC's Score has them.
AnswerForm MakeScoreAnswer(const ApiCall& call, AnswerIdentity identity,
                           const Tokenizer& tokenizer);

}  // namespace sdar
