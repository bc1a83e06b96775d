// SPDX-License-Identifier: Apache-2.0
// The filters that work on sequences and dicts.
#pragma once

#include "absl/status/statusor.h"

#include "runtime/text/jinja/arguments.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

// Each is `value | name(arguments)` of jinja2's filter of that name.
absl::StatusOr<JinjaValue> FilterDictsort(const JinjaValue& value, const JinjaArguments& arguments,
                                          JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterFirst(const JinjaValue& value, const JinjaArguments& arguments,
                                       JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterItems(const JinjaValue& value, const JinjaArguments& arguments,
                                       JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterJoin(const JinjaValue& value, const JinjaArguments& arguments,
                                      JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterLast(const JinjaValue& value, const JinjaArguments& arguments,
                                      JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterList(const JinjaValue& value, const JinjaArguments& arguments,
                                      JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterMap(const JinjaValue& value, const JinjaArguments& arguments,
                                     JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterMax(const JinjaValue& value, const JinjaArguments& arguments,
                                     JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterMin(const JinjaValue& value, const JinjaArguments& arguments,
                                     JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterReject(const JinjaValue& value, const JinjaArguments& arguments,
                                        JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterRejectattr(const JinjaValue& value,
                                            const JinjaArguments& arguments, JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterReverse(const JinjaValue& value, const JinjaArguments& arguments,
                                         JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterSelect(const JinjaValue& value, const JinjaArguments& arguments,
                                        JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterSelectattr(const JinjaValue& value,
                                            const JinjaArguments& arguments, JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterSort(const JinjaValue& value, const JinjaArguments& arguments,
                                      JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterSum(const JinjaValue& value, const JinjaArguments& arguments,
                                     JinjaBudget& budget);
absl::StatusOr<JinjaValue> FilterUnique(const JinjaValue& value, const JinjaArguments& arguments,
                                        JinjaBudget& budget);

}  // namespace sdar
