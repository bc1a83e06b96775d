// SPDX-License-Identifier: Apache-2.0
// Walking and comparing template values.
#pragma once

#include <memory>

#include "absl/status/statusor.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

// What walking `value` yields: items, characters, keys, nothing when undefined. The items of a
// sequence are shared, not copied. An error names a type that cannot be walked.
absl::StatusOr<std::shared_ptr<const JinjaSequence>> Iterate(const JinjaValue& value,
                                                             JinjaBudget& budget);

// Python's == and <; ordering unlike types is an error.
absl::StatusOr<bool> AreEqual(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
absl::StatusOr<bool> IsLess(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
// Python's `item in container`.
absl::StatusOr<bool> Contains(const JinjaValue& container, const JinjaValue& item,
                              JinjaBudget& budget);

}  // namespace sdar
