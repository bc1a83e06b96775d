// SPDX-License-Identifier: Apache-2.0
// Methods of strings, dicts and lists.
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "runtime/text/jinja/arguments.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

// Whether Python's type of `object` has a method `name`, supported here or not.
bool IsPythonMethod(const JinjaValue& object, const std::string& name);

// convert(text), whose result is at most twice as long.
absl::StatusOr<JinjaValue> ConvertText(absl::string_view text,
                                       std::string (*convert)(absl::string_view),
                                       JinjaBudget& budget);

// Calls the method `name` of `self`. InvalidArgument names a method that is not supported, which
// those are that change their object.
absl::StatusOr<JinjaValue> CallMethod(const JinjaValue& self, const std::string& name,
                                      const JinjaArguments& arguments, JinjaBudget& budget);

}  // namespace sdar
