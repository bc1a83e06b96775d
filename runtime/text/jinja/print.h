// SPDX-License-Identifier: Apache-2.0
// Template values as text: Python's str() and repr(), and JSON as Python's json.dumps writes it.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

// str(value); empty when undefined. An error names a type whose text is an address in Python.
absl::StatusOr<std::string> PrintText(const JinjaValue& value, JinjaBudget& budget);
// Appends str(value).
absl::Status AppendText(const JinjaValue& value, JinjaTextBuilder& out);
// str(value) as a value; text is shared, not copied.
absl::StatusOr<JinjaValue> PrintValue(const JinjaValue& value, JinjaBudget& budget);

// How ToJsonText writes; the defaults are those of the tojson filter of chat templates.
struct JsonStyle {
  std::optional<std::string> indent;  // one level's; absent: everything on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};

// json.dumps(value). An error names a type that JSON has not.
absl::StatusOr<JinjaValue> ToJsonText(const JinjaValue& value, const JsonStyle& style,
                                      JinjaBudget& budget);

}  // namespace sdar
