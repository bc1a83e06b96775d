// SPDX-License-Identifier: Apache-2.0
// Paths to items of template values, as attribute arguments of filters give them.
#pragma once

#include "absl/status/statusor.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

// Units of work for one element that a filter visits.
inline constexpr size_t kJinjaUnitsPerElement = 32;

// The steps of a path, "a.b.0" or an integer. ResourceExhausted beyond the budget.
absl::StatusOr<JinjaValues> ReadPath(const JinjaValue& path, JinjaBudget& budget);
// The steps of an argument that may be absent; none: the item itself.
absl::StatusOr<JinjaValues> ReadOptionalPath(const JinjaValue* path, JinjaBudget& budget);

// The item of `value` that `path` leads to; `absent`, where given, stands for what is undefined on
// the way. Errors are those of GetItem.
absl::StatusOr<JinjaValue> ItemAt(const JinjaValue& value, const JinjaValues& path,
                                  JinjaBudget& budget, const JinjaValue* absent = nullptr);

}  // namespace sdar
