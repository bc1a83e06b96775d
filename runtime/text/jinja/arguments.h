// SPDX-License-Identifier: Apache-2.0
// The arguments of a call, filter or test, and binding them to parameters.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

struct JinjaArguments {
  JinjaValues positional;
  std::vector<std::pair<std::string, JinjaValue>> named;
};

// The arguments in the order of `parameters`, nullptr for those not given; borrowed from
// `arguments`. InvalidArgument names `callee` and an argument that is unknown, double or too many.
absl::StatusOr<std::vector<const JinjaValue*>> BindArguments(
    absl::string_view callee, const JinjaArguments& arguments,
    const std::vector<absl::string_view>& parameters);

// The same, for parameters without a default.
absl::StatusOr<std::vector<const JinjaValue*>> BindRequired(
    absl::string_view callee, const JinjaArguments& arguments,
    const std::vector<absl::string_view>& parameters);

// An argument as text or integer; InvalidArgument names `callee` and the type that came.
absl::StatusOr<absl::string_view> TextArgument(absl::string_view callee, const JinjaValue& value);
absl::StatusOr<int64_t> IntArgument(absl::string_view callee, const JinjaValue& value);

}  // namespace sdar
