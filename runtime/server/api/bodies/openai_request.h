// SPDX-License-Identifier: Apache-2.0
// Bodies of the OpenAI API as calls of the service. Pure; any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "runtime/server/api/bodies/tool_choice.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// Prompts of one completion.
inline constexpr size_t kMaxPrompts = 1024;

// The body of POST /v1/chat/completions. Besides OpenAI's fields it may have those of JSON lines
// (docs/api.md), enable_thinking, chat_template_kwargs and provisional. Null counts as absent.
// models: the names that are served, the first one is the default. InvalidArgument begins with the
// field. NotFound: another model. Takes the body apart: move it in where it is not needed any more.
// At most 1000 fields.
absl::StatusOr<ApiCall> ParseChatCompletion(Json body, absl::Span<const std::string> models,
                                            const TextCodec& text);

// The body of POST /v1/completions, likewise: one prompt or a list of them, each a text or token
// ids.
absl::StatusOr<ApiCall> ParseCompletion(Json body, absl::Span<const std::string> models,
                                        const TextCodec& text);

// The parts that bodies of several APIs have in common. Each removes from `body` what it has read.

// The body is an object; its model is one of `models`; "stream", "request_id", "provisional".
absl::Status TakeCommonFields(Json& body, absl::Span<const std::string> models, ApiCall& out);
// All that is left of a body: fields of requests, those that mean nothing here, and unknown ones.
absl::Status TakeRequestFields(Json& body, ApiCall& out);
// {"messages": [..], "tools": [..], "tool_choice": .., ...} of a chat or tokenize body: what the
// chat template takes, and which tools must be called. At most kMaxChatVariables names in
// chat_template_kwargs.
absl::StatusOr<ApiChat> TakeChat(Json& body);
// Renders a chat as the prompt of a call whose fields are read, and sets the structure that its
// tools ask for.
absl::Status SetChat(const ApiChat& chat, const TextCodec& text, ApiCall& out);

}  // namespace sdar
