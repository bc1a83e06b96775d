// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/arguments.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {

absl::StatusOr<std::vector<const JinjaValue*>> BindArguments(
    absl::string_view callee, const JinjaArguments& arguments,
    const std::vector<absl::string_view>& parameters) {
  std::vector<const JinjaValue*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return JinjaError(absl::StrCat(callee, " takes at most ", parameters.size(), " arguments, got ",
                                   arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(parameters.begin(), parameters.end(), absl::string_view(name));
    if (it == parameters.end()) {
      return JinjaError(absl::StrCat(callee, " has no argument '", name, "'"));
    }
    const JinjaValue*& slot = bound[static_cast<size_t>(it - parameters.begin())];
    if (slot != nullptr) {
      return JinjaError(absl::StrCat(callee, " got the argument '", name, "' twice"));
    }
    slot = &value;
  }
  return bound;
}

absl::StatusOr<std::vector<const JinjaValue*>> BindRequired(
    absl::string_view callee, const JinjaArguments& arguments,
    const std::vector<absl::string_view>& parameters) {
  SDAR_ASSIGN_OR_RETURN(auto bound, BindArguments(callee, arguments, parameters));
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i] == nullptr) {
      return JinjaError(absl::StrCat(callee, " lacks the argument '", parameters[i], "'"));
    }
  }
  return bound;
}

absl::StatusOr<absl::string_view> TextArgument(absl::string_view callee, const JinjaValue& value) {
  if (value.is_undefined()) return value.UndefinedError();
  if (value.is_string()) return absl::string_view(value.text());
  return JinjaError(absl::StrCat(callee, " expects a string, got ", value.TypeName()));
}

absl::StatusOr<int64_t> IntArgument(absl::string_view callee, const JinjaValue& value) {
  if (value.is_undefined()) return value.UndefinedError();
  if (value.is_int() || value.is_bool()) return value.integer();
  return JinjaError(absl::StrCat(callee, " expects an integer, got ", value.TypeName()));
}

}  // namespace sdar
