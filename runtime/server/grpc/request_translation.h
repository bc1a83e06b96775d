// SPDX-License-Identifier: Apache-2.0
// Requests of the public API as the engine's fields. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/steady_time.h"
#include "runtime/request/request_fields.h"
#include "runtime/request/score_fields.h"
#include "runtime/text/text_codec.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// The fields that the request sets. InvalidArgument names one that cannot be.
absl::StatusOr<RequestFields> TranslateFields(const sdar::v1::GenerateRequest& request);

absl::StatusOr<ScoreFields> TranslateFields(const sdar::v1::ScoreRequest& request);

// When the answer must be there: at the call's deadline, or after timeout_seconds if that is
// sooner. InvalidArgument: timeout_seconds is no positive number.
absl::StatusOr<SteadyTime> TranslateDeadline(const sdar::v1::SchedulingParameters& scheduling,
                                             SteadyTime call_deadline, SteadyTime now);

// A conversation as the chat template takes it. InvalidArgument when its JSON parts are not JSON.
absl::StatusOr<ChatRequest> TranslateChat(const sdar::v1::Chat& chat);

// The ids of the request's prompt. InvalidArgument when it has none.
absl::StatusOr<std::vector<TokenId>> TranslatePrompt(const sdar::v1::GenerateRequest& request,
                                                     const TextCodec& text);
// Likewise. A request that scores may have none.
absl::StatusOr<std::vector<TokenId>> TranslatePrompt(const sdar::v1::ScoreRequest& request,
                                                     const TextCodec& text);

// The ids of the request's continuation. InvalidArgument when it has none.
absl::StatusOr<std::vector<TokenId>> TranslateContinuation(const sdar::v1::ScoreRequest& request,
                                                           const TextCodec& text);

}  // namespace sdar
