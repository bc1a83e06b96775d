// SPDX-License-Identifier: Apache-2.0
// Cuts a chat template into tokens, with the whitespace control of the environment that chat
// templates are written for: trim_blocks and lstrip_blocks on, one trailing newline dropped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

struct JinjaToken {
  enum class Kind {
    kData,           // template text
    kVariableBegin,  // {{
    kVariableEnd,
    kBlockBegin,  // {%
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;  // the data, name, operator, or the string with its escapes resolved
  int64_t integer = 0;
  double number = 0;
};
using JinjaTokenKind = JinjaToken::Kind;

// The tokens of `source`, ended by kEnd. InvalidArgument begins with "line N: ".
absl::StatusOr<std::vector<JinjaToken>> LexJinja(absl::string_view source);

}  // namespace sdar
