// SPDX-License-Identifier: Apache-2.0
// Conversations to prompts, by the chat template that a model's tokenizer brings along.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/text/jinja/renderer.h"
#include "runtime/text/jinja/syntax/ast.h"

namespace sdar {

// How many variables a request may bring.
inline constexpr size_t kMaxChatVariables = 256;

// What a conversation's prompt is made from.
struct ChatRequest {
  Json messages;                      // a list of objects with a string "role"
  Json tools = nullptr;               // null: none
  bool add_generation_prompt = true;  // ends with the opening of the assistant's turn
  Json variables = Json::object();    // further ones of the template, such as enable_thinking
};

// A parsed template. Const use is thread-safe.
class ChatTemplate {
 public:
  // special_tokens: variables such as {"eos_token": "..."}. InvalidArgument says on which line a
  // construct is malformed or not supported.
  static absl::StatusOr<ChatTemplate> Parse(absl::string_view source,
                                            const Json& special_tokens = Json::object());

  // As Parse; `tool_source` is used instead where a request has tools.
  static absl::StatusOr<ChatTemplate> ParseWithTools(absl::string_view source,
                                                     absl::string_view tool_source,
                                                     const Json& special_tokens);

  // The prompt. A content that is a list of text parts becomes their texts, joined by newlines.
  // InvalidArgument says which message is malformed, or carries the template's own complaint, with
  // the line unless the template raised it; ResourceExhausted when rendering passes `limits`.
  // Linear in the request besides what the template itself does.
  absl::StatusOr<std::string> Render(const ChatRequest& request,
                                     const JinjaLimits& limits = {}) const;
  // The same; `budget` then says what was paid for.
  absl::StatusOr<std::string> Render(const ChatRequest& request, JinjaBudget& budget) const;

 private:
  std::shared_ptr<const JinjaBody> body_;
  std::shared_ptr<const JinjaBody> tool_body_;  // of requests with tools; may be null
  Json special_tokens_ = Json::object();
};

// The template of a model's folder: chat_template.jinja, else chat_template in
// tokenizer_config.json. NotFound when it has none.
absl::StatusOr<ChatTemplate> LoadChatTemplate(const std::string& folder);

}  // namespace sdar
