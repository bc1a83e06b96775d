// SPDX-License-Identifier: Apache-2.0
// Statuses as the APIs' errors.
#include "runtime/server/api/api_error.h"

#include "gtest/gtest.h"

#include "common/context_length.h"
#include "runtime/cluster/retry_delay.h"

namespace sdar {
namespace {

TEST(ApiErrorTest, HasCodeTypeAndTheFieldThatIsMeant) {
  const Json error =
      ApiError(absl::InvalidArgumentError("temperature: expected 0 .. 100"))["error"];
  EXPECT_EQ(error["code"], 400);
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["param"], "temperature");
  EXPECT_EQ(error["message"], "temperature: expected 0 .. 100");
  EXPECT_TRUE(ApiError(absl::InvalidArgumentError("all wrong: x"))["error"]["param"].is_null());
  EXPECT_EQ(ApiError(absl::NotFoundError("model: x"))["error"]["code"], 404);
  for (const auto status :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kResourceExhausted}) {
    const absl::Status too_long =
        ContextLengthExceeded(status, 2048, "The prompt has 3000 tokens.");
    EXPECT_EQ(ApiError(too_long)["error"]["code"], "context_length_exceeded");
    EXPECT_EQ(ApiError(too_long)["error"]["message"],
              "This model's maximum context length is 2048 tokens. The prompt has 3000 tokens.");
    EXPECT_EQ(HttpCode(too_long), 400);
  }
}

TEST(ApiErrorTest, AFullQueueIsForLaterAndWhatNeverFitsIsNot) {
  const absl::Status full =
      WithRetryDelay(absl::ResourceExhaustedError("the queue is full"), absl::Seconds(2));

  EXPECT_EQ(HttpCode(full), 429);
  EXPECT_EQ(HttpCode(absl::ResourceExhaustedError("never")), 400);
  EXPECT_EQ(HttpCode(absl::UnavailableError("")), 503);
  EXPECT_EQ(HttpCode(absl::DeadlineExceededError("")), 504);
  EXPECT_EQ(HttpCode(absl::InternalError("")), 500);
}

TEST(ApiErrorTest, AnthropicsFormHasTypesOfItsOwn) {
  const auto type_of = [](int code) {
    return MessagesError(absl::UnknownError("why"), code)["error"]["type"];
  };
  EXPECT_EQ(MessagesError(absl::UnknownError("why"), 400),
            (Json{{"type", "error"},
                  {"error", {{"type", "invalid_request_error"}, {"message", "why"}}}}));
  EXPECT_EQ(type_of(401), "authentication_error");
  EXPECT_EQ(type_of(413), "request_too_large");
  EXPECT_EQ(type_of(429), "rate_limit_error");
  EXPECT_EQ(type_of(500), "api_error");
  EXPECT_EQ(type_of(503), "overloaded_error");
}

}  // namespace
}  // namespace sdar
