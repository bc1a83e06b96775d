// SPDX-License-Identifier: Apache-2.0
// Parses chat templates: the part of Jinja that they are written in.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/syntax/ast.h"

namespace sdar {

// The statements of `source`. InvalidArgument begins with "line N: " and names a construct, filter
// or test that is malformed or not supported.
absl::StatusOr<JinjaBody> ParseJinja(absl::string_view source);

}  // namespace sdar
