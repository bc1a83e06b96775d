// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/api_error.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"

#include "common/context_length.h"
#include "common/shorten.h"
#include "runtime/cluster/retry_delay.h"

namespace sdar {
namespace {

const char* TypeOf(int code) {
  switch (code) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return code < 500 ? "invalid_request_error" : "server_error";
  }
}

const char* MessagesTypeOf(int code) {
  switch (code) {
    case 413:
      return "request_too_large";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return code < 500 ? TypeOf(code) : "api_error";
  }
}

// What comes from the request is quoted in part where the message is made; this is for the rest.
constexpr size_t kMaxMessage = 2000;

// The field that a message begins with; null where it names none.
Json ParamOf(absl::string_view message) {
  const size_t end = message.find(':');
  if (end == 0 || end == absl::string_view::npos) return nullptr;
  const absl::string_view field = message.substr(0, end);
  const bool names = std::all_of(field.begin(), field.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '[' ||
           c == ']';
  });
  return names ? Json(std::string(field)) : Json();
}

}  // namespace

int HttpCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return RetryDelay(status) ? 429 : 400;  // not now, or never
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:  // the job has failed
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

Json ApiError(const absl::Status& status) { return ApiError(status, HttpCode(status)); }

Json ApiError(const absl::Status& status, int code) {
  return {
      {"error",
       {{"message", Shorten(status.message(), kMaxMessage)},
        {"type", TypeOf(code)},
        {"param", code < 500 ? ParamOf(status.message()) : Json()},
        {"code", IsContextLengthExceeded(status) ? Json("context_length_exceeded") : Json(code)}}}};
}

Json MessagesError(const absl::Status& status, int code) {
  return {{"type", "error"},
          {"error",
           {{"type", MessagesTypeOf(code)}, {"message", Shorten(status.message(), kMaxMessage)}}}};
}

}  // namespace sdar
