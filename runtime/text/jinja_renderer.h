// SPDX-License-Identifier: Apache-2.0
// Renders a parsed chat template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "runtime/text/jinja_ast.h"
#include "runtime/text/jinja_value.h"

namespace sdar {

struct JinjaLimits {
  size_t work = size_t{512} << 20;         // units of JinjaBudget
  size_t output_bytes = size_t{64} << 20;  // of the rendered text
};

using JinjaVariables = std::vector<std::pair<std::string, JinjaValue>>;

// Renders `body` with `variables`. InvalidArgument says what went wrong and begins with "line N: ",
// except for what the template itself raises with raise_exception; ResourceExhausted when the
// template passes the limits.
absl::StatusOr<std::string> RenderJinja(const JinjaBody& body, const JinjaVariables& variables,
                                        const JinjaLimits& limits, JinjaBudget& budget);

}  // namespace sdar
