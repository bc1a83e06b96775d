// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/path.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/operators.h"

namespace sdar {

absl::StatusOr<JinjaValues> ReadPath(const JinjaValue& path, JinjaBudget& budget) {
  JinjaItems steps(budget);
  if (!path.is_string()) {
    SDAR_RETURN_IF_ERROR(steps.Add(path));
    return steps.Take();
  }
  SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(path.text()));
  for (const absl::string_view part : absl::StrSplit(path.text(), '.')) {
    int64_t index = 0;
    if (absl::SimpleAtoi(part, &index)) {
      SDAR_RETURN_IF_ERROR(steps.Add(JinjaValue(index)));
    } else {
      SDAR_ASSIGN_OR_RETURN(JinjaValue name, MakeText(part, budget));
      SDAR_RETURN_IF_ERROR(steps.Add(std::move(name)));
    }
  }
  return steps.Take();
}

absl::StatusOr<JinjaValues> ReadOptionalPath(const JinjaValue* path, JinjaBudget& budget) {
  if (path == nullptr || path->is_none()) return JinjaValues();
  return ReadPath(*path, budget);
}

absl::StatusOr<JinjaValue> ItemAt(const JinjaValue& value, const JinjaValues& path,
                                  JinjaBudget& budget, const JinjaValue* absent) {
  JinjaValue item = value;
  for (const JinjaValue& key : path) {
    SDAR_RETURN_IF_ERROR(budget.Charge(kJinjaUnitsPerElement));
    SDAR_ASSIGN_OR_RETURN(item, GetItem(item, key, budget));
    if (absent != nullptr && item.is_undefined()) item = *absent;
  }
  return item;
}

}  // namespace sdar
