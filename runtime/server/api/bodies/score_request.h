// SPDX-License-Identifier: Apache-2.0
// Bodies of POST /v1/score as calls of the service. Pure; any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// How probable a given continuation is: "prompt" (a text or token ids) or "messages", or neither;
// "text" or "ids", the continuation; the fields of ScoreFields. Errors as ParseChatCompletion.
absl::StatusOr<ApiCall> ParseScore(Json body, absl::Span<const std::string> models,
                                   const TextCodec& text);

}  // namespace sdar
