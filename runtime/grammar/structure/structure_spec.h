// SPDX-License-Identifier: Apache-2.0
// What an answer must be, as a request says it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar::grammar {

// A tool that may be called.
struct ToolSpec {
  std::string name;
  std::string parameters;  // a JSON schema of its arguments, an object; empty: any object
};

// A plain value; what is in it is checked when it is compiled.
struct StructureSpec {
  enum class Kind { kJsonObject, kJsonSchema, kRegex, kChoice, kTools };

  Kind kind = Kind::kJsonObject;
  std::string text;  // kJsonSchema: a JSON schema. kRegex: a pattern for the whole answer
  std::vector<std::string> choices;  // kChoice: the answer is one of these
  std::vector<ToolSpec> tools;       // kTools
  // kTools: the answer is calls and nothing else. False: it may also be, or hold, any text, or
  // where `text` is not empty be JSON of that schema.
  bool must_call = true;
  bool many_calls = true;       // kTools: more than one call may be made
  bool after_thinking = false;  // the answer begins after </think>; before it anything may stand
  std::string field = "structure";  // the request's name for it, which errors begin with

  // The same value has the same text, and FromText gives the value back, but for the field.
  std::string ToText() const;
  // InvalidArgument: it is not what ToText gives.
  static absl::StatusOr<StructureSpec> FromText(absl::string_view text);
};

}  // namespace sdar::grammar
