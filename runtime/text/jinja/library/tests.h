// SPDX-License-Identifier: Apache-2.0
// The tests of chat templates: `value is name(arguments)`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/arguments.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

bool IsKnownJinjaTest(absl::string_view name);

// Requires: IsKnownJinjaTest(name).
absl::StatusOr<bool> ApplyJinjaTest(const std::string& name, const JinjaValue& value,
                                    const JinjaArguments& arguments, JinjaBudget& budget);

}  // namespace sdar
