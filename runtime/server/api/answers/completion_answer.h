// SPDX-License-Identifier: Apache-2.0
// A call's answer in the form of OpenAI's completions.
#pragma once

#include "runtime/server/api/answers/answer_form.h"

namespace sdar {

// text_completion chunks that end with [DONE], or one text_completion. Sample i of prompt p is
// choice p * n + i.
AnswerForm MakeCompletionAnswer(const ApiCall& call, AnswerIdentity identity,
                                const Tokenizer& tokenizer);

}  // namespace sdar
