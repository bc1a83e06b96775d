// SPDX-License-Identifier: Apache-2.0
// Lists of counts as flags have them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// "1,4,8" as numbers from 1 to `high`; nothing for an empty list. InvalidArgument names `flag`.
absl::StatusOr<std::vector<int64_t>> ParseCounts(absl::string_view flag, const std::string& list,
                                                 int64_t high);

}  // namespace sdar
