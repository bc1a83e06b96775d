// SPDX-License-Identifier: Apache-2.0
// Conversations to prompts, by the chat templates that a model's tokenizer brings along.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/text/chat_messages.h"
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
  std::string template_name;          // empty: the model's choice
  Json variables = Json::object();    // further ones of the template, such as enable_thinking
};

// A model's parsed templates. Const use is thread-safe.
class ChatTemplate {
 public:
  using NamedSources = std::vector<std::pair<std::string, std::string>>;

  // The one template of a model. special_tokens: variables such as {"eos_token": "..."}.
  // InvalidArgument says on which line a construct is malformed or not supported.
  static absl::StatusOr<ChatTemplate> Parse(absl::string_view source,
                                            const Json& special_tokens = Json::object());

  // The named templates of a model, of which the last of equal names counts. As transformers
  // chooses, "tool_use" is for requests with tools and "default" for others. InvalidArgument as
  // Parse, or without any template.
  static absl::StatusOr<ChatTemplate> ParseNamed(const NamedSources& sources,
                                                 const Json& special_tokens);

  // The prompt. Messages are read by ReadMessages. InvalidArgument says which message is malformed,
  // which names of templates there are, or carries the template's own complaint, with the line
  // unless the template raised it; ResourceExhausted when rendering passes `limits`. Linear in the
  // request besides what the template itself does.
  absl::StatusOr<std::string> Render(const ChatRequest& request,
                                     const JinjaLimits& limits = {}) const;
  // The same; `budget` then says what was paid for.
  absl::StatusOr<std::string> Render(const ChatRequest& request, JinjaBudget& budget) const;

 private:
  struct Body {
    std::string name;
    TemplateTraits traits;
    std::shared_ptr<const JinjaBody> parsed;
  };

  static absl::StatusOr<Body> ParseBody(const std::string& name, absl::string_view source);
  const Body* Find(absl::string_view name) const;
  absl::StatusOr<const Body*> Choose(const ChatRequest& request) const;

  std::vector<Body> bodies_;  // one, named "default"; or as the model names them
  Json special_tokens_ = Json::object();
};

// The templates of a model's folder: chat_template.jinja and additional_chat_templates/NAME.jinja,
// else chat_template in tokenizer_config.json, a text or a list of {"name", "template"}. NotFound
// when it has none.
absl::StatusOr<ChatTemplate> LoadChatTemplate(const std::string& folder);

}  // namespace sdar
