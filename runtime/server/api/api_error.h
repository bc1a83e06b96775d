// SPDX-License-Identifier: Apache-2.0
// Statuses as the APIs report them. Pure; any thread.
#pragma once

#include "absl/status/status.h"

#include "common/json.h"

namespace sdar {

// The HTTP status code of a status.
int HttpCode(const absl::Status& status);

// {"error": {"message", "type", "param", "code"}} of a status that is not OK, as OpenAI's API has
// it; param is the field that its message begins with. The code is "context_length_exceeded" of
// ContextLengthExceeded, and else the HTTP status code.
Json ApiError(const absl::Status& status);
// The same with another code.
Json ApiError(const absl::Status& status, int code);

// {"type": "error", "error": {"type", "message"}}, as Anthropic's API has it.
Json MessagesError(const absl::Status& status, int code);

}  // namespace sdar
