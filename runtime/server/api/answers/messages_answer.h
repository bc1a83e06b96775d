// SPDX-License-Identifier: Apache-2.0
// A call's answer in the form of Anthropic's Messages API.
#pragma once

#include "runtime/server/api/answers/answer_form.h"

namespace sdar {

// Events from message_start to message_stop, or one message. Its content has parts, which that API
// calls blocks: thinking, text and tool_use.
AnswerForm MakeMessagesAnswer(const ApiCall& call, AnswerIdentity identity,
                              const Tokenizer& tokenizer);

}  // namespace sdar
