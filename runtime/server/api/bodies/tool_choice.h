// SPDX-License-Identifier: Apache-2.0
// Which tools of a chat may or must be called, and what that asks of the answer. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/json.h"
#include "runtime/grammar/structure/structure_spec.h"
#include "runtime/text/chat_template.h"

namespace sdar {

struct ToolChoice {
  bool may_call = true;
  bool must_call = false;
  std::string name;  // the tool that must be called; empty: any
  bool parallel_calls = true;
  bool strict = false;  // arguments are exact; also where a tool says so itself
};

// A chat as the HTTP APIs have it.
struct ApiChat {
  ChatRequest request;
  ToolChoice choice;
};

// "auto", "none", "required", or a function by name, as chats and responses spell it. Removes it
// from `body`. InvalidArgument begins with the field.
absl::StatusOr<ToolChoice> TakeToolChoice(Json& body);

// Sets what calls of `tools` (as templates take them, null for none) ask of the answer: where one
// must be made, and where a tool is strict. A structure that is there already is then that of an
// answer without calls. InvalidArgument begins with the field.
absl::Status SetToolStructure(const Json& tools, const ToolChoice& choice,
                              std::optional<grammar::StructureSpec>& structure);

}  // namespace sdar
