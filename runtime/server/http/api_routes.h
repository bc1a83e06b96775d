// SPDX-License-Identifier: Apache-2.0
// Which API a path speaks.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/server/api/answers/answer_form.h"
#include "runtime/server/api/api_call.h"
#include "runtime/server/http/http_exchange.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// How one route's bodies are read and answered.
struct Api {
  absl::StatusOr<ApiCall> (*parse)(Json body, absl::Span<const std::string> models,
                                   const TextCodec& text);
  MakeAnswerForm form;
  const char* id_prefix;  // of the answer's id
};

extern const Api kChatApi;
extern const Api kCompletionApi;
extern const Api kResponsesApi;
extern const Api kMessagesApi;
extern const Api kScoreApi;

// What refuses a request, in the form of its path's API.
HttpResponse RefusalOf(absl::string_view path, const absl::Status& status);
// The same for what HTTP has a code of its own for.
HttpResponse RefusalOf(absl::string_view path, int code, const std::string& message);

// The answer while the model is being loaded, with when to ask again.
HttpResponse LoadingRefusal(absl::string_view path);

HttpResponse JsonResponse(const Json& body);

}  // namespace sdar
