// SPDX-License-Identifier: Apache-2.0
// Takes the members of a body apart, one by one. Pure; any thread.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "common/json_fields.h"
#include "runtime/request/request_json.h"
#include "runtime/server/api/api_call.h"

namespace sdar {

// `status` with the field in front of its message.
absl::Status InField(absl::string_view field, const absl::Status& status);

// InvalidArgument, with the name in front, unless `fields` is an object of at most 1000 members:
// finding or removing one walks over all of them.
absl::Status CheckFields(absl::string_view name, const Json& fields);

// The value of a member, which is removed; null when it is absent.
Json TakeField(Json& body, absl::string_view field);

// Reads a member that is there, and not null, into `out`. It is removed.
template <typename T>
absl::Status TakeInto(Json& body, absl::string_view field, T& out) {
  const Json value = TakeField(body, field);
  if (value.is_null()) return absl::OkStatus();
  return InField(field, ReadValue(value, out));
}

// Notes that nobody knows a field. Keeps a few names only, each shortened.
void NoteUnknown(absl::string_view field, UnknownFields& unknown);

// Reads all members that are left of a body, those that are not null by the reader of their name.
// InvalidArgument begins with the field.
absl::Status ReadRest(const Json& body, const absl::flat_hash_map<std::string, JsonReader>& readers,
                      UnknownFields& unknown);

// Notes all members that are left of an object: "PREFIX.NAME", or "NAME" without a prefix.
void NoteRest(const Json& body, absl::string_view prefix, UnknownFields& unknown);

}  // namespace sdar
