// SPDX-License-Identifier: Apache-2.0
// Bodies of the OpenAI API as calls of the service. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/server/generation_call.h"
#include "runtime/server/http/output_splitter.h"
#include "runtime/text/text_codec.h"

namespace sdar {

struct OpenAiCall {
  GenerationCall call;
  std::string model;  // the name that the answer bears
  bool chat = false;
  bool stream = false;
  bool include_usage = false;         // a last chunk with the usage
  OutputSplitter::Options splitting;  // chat only
};

// The body of POST /v1/chat/completions. Besides OpenAI's fields it may have those of JSON lines
// (docs/api.md), enable_thinking, chat_template_kwargs and provisional. Null counts as absent.
// models: the names that are served, the first one is the default. InvalidArgument begins with the
// field; so does what names one that is not known or not supported. NotFound: another model.
// Takes the body apart: move it in where it is not needed any more. At most 1000 fields.
absl::StatusOr<OpenAiCall> ParseChatCompletion(Json body, absl::Span<const std::string> models,
                                               const TextCodec& text);

// The body of POST /v1/completions, likewise; one prompt, as text or token ids.
absl::StatusOr<OpenAiCall> ParseCompletion(Json body, absl::Span<const std::string> models,
                                           const TextCodec& text);

// {"messages": [..], "tools": [..], ...} of a chat or tokenize body as the chat template takes it.
// Removes from `body` what it has read. At most kMaxChatVariables names in chat_template_kwargs.
absl::StatusOr<ChatRequest> TakeChat(Json& body);

}  // namespace sdar
