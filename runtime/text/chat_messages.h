// SPDX-License-Identifier: Apache-2.0
// The messages of a conversation as a chat template expects them, whichever program read them.
#pragma once

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"

namespace sdar {

// What the source of a template tells of what it can be given.
class TemplateTraits {
 public:
  explicit TemplateTraits(absl::string_view source);

  // Whether the source compares something with the word `role`, or looks for it in a list.
  bool KnowsRole(absl::string_view role) const { return words_.contains(role); }
  // Whether it prints the arguments of a tool call as they are, so that they may be text. Otherwise
  // it walks over them or prints them as JSON.
  bool takes_text_arguments() const { return takes_text_arguments_; }

 private:
  absl::flat_hash_set<std::string> words_;
  bool takes_text_arguments_;
};

// `messages` as the template sees them:
// - content that is null or absent is "", and a list of text parts their texts, joined by newlines;
// - the role developer is system, unless the template knows it;
// - arguments of tool calls that are text become what they hold, unless the template takes text.
// InvalidArgument names what is malformed, and a role that is neither one of system, developer,
// user, assistant and tool nor known to the template. Linear.
absl::StatusOr<Json> ReadMessages(const Json& messages, const TemplateTraits& traits);

}  // namespace sdar
