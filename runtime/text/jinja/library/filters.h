// SPDX-License-Identifier: Apache-2.0
// The filters of chat templates.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/arguments.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

bool IsKnownJinjaFilter(absl::string_view name);

// `value | name(arguments)`. Requires: IsKnownJinjaFilter(name).
absl::StatusOr<JinjaValue> ApplyJinjaFilter(const std::string& name, const JinjaValue& value,
                                            const JinjaArguments& arguments, JinjaBudget& budget);

}  // namespace sdar
