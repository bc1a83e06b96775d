// SPDX-License-Identifier: Apache-2.0
// Renders a parsed chat template.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "runtime/text/jinja/syntax/ast.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

// By name.
using JinjaVariables = absl::flat_hash_map<std::string, JinjaValue>;

// Renders `body` with `variables`. InvalidArgument says what went wrong and begins with "line N: ",
// except for what the template itself raises with raise_exception; ResourceExhausted when the
// template passes the budget.
absl::StatusOr<std::string> RenderJinja(const JinjaBody& body, const JinjaVariables& variables,
                                        JinjaBudget& budget);

}  // namespace sdar
