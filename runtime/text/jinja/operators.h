// SPDX-License-Identifier: Apache-2.0
// Operators, attributes, subscripts and slices of template values.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

// `a op b` for "+", "-", "*", "/", "//", "%", as Python has it. Integers beyond 64 bits, formatting
// with % and unlike types are errors.
absl::StatusOr<JinjaValue> ApplyBinary(absl::string_view op, const JinjaValue& a,
                                       const JinjaValue& b, JinjaBudget& budget);
// `-a` or `+a`.
absl::StatusOr<JinjaValue> ApplySign(absl::string_view op, const JinjaValue& a);

// `object.name`: a method or attribute, else an item; undefined where there is neither.
absl::StatusOr<JinjaValue> GetAttribute(const JinjaValue& object, const std::string& name,
                                        JinjaBudget& budget);
// `object[key]`: an item, else an attribute; undefined where there is neither.
absl::StatusOr<JinjaValue> GetItem(const JinjaValue& object, const JinjaValue& key,
                                   JinjaBudget& budget);
// `object[start:stop:step]`; None for what is not given.
absl::StatusOr<JinjaValue> GetSlice(const JinjaValue& object, const JinjaValue& start,
                                    const JinjaValue& stop, const JinjaValue& step,
                                    JinjaBudget& budget);

// len(value).
absl::StatusOr<int64_t> LengthOf(const JinjaValue& value, JinjaBudget& budget);

}  // namespace sdar
