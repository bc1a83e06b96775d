// SPDX-License-Identifier: Apache-2.0
// Reads typed fields of one JSON object and keeps the first thing that is wrong with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/json.h"

namespace sdar {

// The allowed values of an integer field, both ends included.
struct IntRange {
  int64_t min = 0;
  int64_t max = 0;
};

// Every getter returns the field's value; when the field is wrong it records the error and returns
// a value that must not be used. Read all fields, then ask status() once. A field that may be
// absent may also be null. Borrows the object.
class JsonFields {
 public:
  // `source` begins every error, usually a path. `fields` should be an object; status() says so
  // when not.
  JsonFields(const Json& fields, absl::string_view source);

  // True when the field is there and not null.
  bool Has(absl::string_view name);

  // The field must be there and an integer in `range`.
  int64_t Int(absl::string_view name, IntRange range);
  std::optional<int64_t> OptionalInt(absl::string_view name, IntRange range);
  // An integer or a list of them; absent: empty.
  std::vector<int64_t> IntList(absl::string_view name, IntRange range);

  // The field must be there and a number above 0 and at most `max`.
  double PositiveNumber(absl::string_view name, double max);
  // A number from `min` to `max`.
  std::optional<double> OptionalNumber(absl::string_view name, double min, double max);

  // The field must be there and true or false.
  bool Bool(absl::string_view name);
  std::optional<bool> OptionalBool(absl::string_view name);

  // The field must be there and a string.
  std::string Text(absl::string_view name);
  std::optional<std::string> OptionalText(absl::string_view name);

  // The object, which may be absent or null: then nullptr. Borrowed.
  const Json* Object(absl::string_view name);

  // Records "SOURCE: field 'NAME': expected EXPECTED, got VALUE".
  void Refuse(absl::string_view name, absl::string_view expected);

  // Records `status` where it is the first error; of fields that another JsonFields has read.
  void Adopt(const absl::Status& status);

  const std::string& source() const { return source_; }

  // Names of fields that are there, not null, and that nothing has asked for, in order.
  std::vector<std::string> Unread() const;

  // The first error, or OK. InvalidArgument names source, field, what was expected and what was
  // there.
  const absl::Status& status() const { return status_; }

 private:
  const Json* Get(absl::string_view name);

  const Json& fields_;
  std::string source_;
  absl::flat_hash_set<std::string> read_;
  absl::Status status_;
};

}  // namespace sdar
