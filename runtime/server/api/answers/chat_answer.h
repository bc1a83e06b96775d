// SPDX-License-Identifier: Apache-2.0
// A call's answer in the form of OpenAI's chats.
#pragma once

#include "runtime/server/api/answers/answer_form.h"

namespace sdar {

// chat.completion.chunk events that end with [DONE], or a chat.completion. With
// GenerationCall::provisional, a block's state after a step is a chunk without choices, with
// "provisional".
AnswerForm MakeChatAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer& tokenizer);

}  // namespace sdar
