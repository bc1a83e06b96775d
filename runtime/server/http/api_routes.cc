// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/api_routes.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "runtime/cluster/retry_delay.h"
#include "runtime/server/api/answers/chat_answer.h"
#include "runtime/server/api/answers/completion_answer.h"
#include "runtime/server/api/answers/messages_answer.h"
#include "runtime/server/api/answers/responses_answer.h"
#include "runtime/server/api/answers/score_answer.h"
#include "runtime/server/api/api_error.h"
#include "runtime/server/api/bodies/messages_request.h"
#include "runtime/server/api/bodies/openai_request.h"
#include "runtime/server/api/bodies/responses_request.h"
#include "runtime/server/api/bodies/score_request.h"

namespace sdar {

const Api kChatApi = {ParseChatCompletion, MakeChatAnswer, "chatcmpl-"};
const Api kCompletionApi = {ParseCompletion, MakeCompletionAnswer, "cmpl-"};
const Api kResponsesApi = {ParseResponse, MakeResponsesAnswer, "resp_"};
const Api kMessagesApi = {ParseMessages, MakeMessagesAnswer, "msg_"};
const Api kScoreApi = {ParseScore, MakeScoreAnswer, "score-"};

namespace {

HttpResponse ErrorBody(absl::string_view path, const absl::Status& status, int code) {
  HttpResponse response =
      JsonResponse(absl::StartsWith(path, "/v1/messages") ? MessagesError(status, code)
                                                          : ApiError(status, code));
  response.code = code;
  return response;
}

}  // namespace

HttpResponse JsonResponse(const Json& body) {
  HttpResponse response;
  response.body = DumpJson(body);
  return response;
}

HttpResponse RefusalOf(absl::string_view path, const absl::Status& status) {
  HttpResponse response = ErrorBody(path, status, HttpCode(status));
  if (const auto delay = RetryDelay(status)) {
    const auto seconds =
        std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(*delay, absl::Seconds(1))));
    response.headers.emplace_back("Retry-After", absl::StrCat(seconds));
  }
  return response;
}

HttpResponse RefusalOf(absl::string_view path, int code, const std::string& message) {
  HttpResponse response = ErrorBody(path, absl::UnknownError(message), code);
  if (code == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse LoadingRefusal(absl::string_view path) {
  constexpr char kRetrySeconds[] = "5";
  HttpResponse response = RefusalOf(path, absl::UnavailableError("the model is loading"));
  response.headers.emplace_back("Retry-After", kRetrySeconds);
  return response;
}

}  // namespace sdar
