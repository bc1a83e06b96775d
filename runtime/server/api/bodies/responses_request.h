// SPDX-License-Identifier: Apache-2.0
// Bodies of OpenAI's Responses API as calls of the service. Pure; any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// The body of POST /v1/responses. Errors as ParseChatCompletion; InvalidArgument also for what
// would need an earlier response, since none is stored.
absl::StatusOr<ApiCall> ParseResponse(Json body, absl::Span<const std::string> models,
                                      const TextCodec& text);

}  // namespace sdar
