// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/body_fields.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"

namespace sdar {
namespace {

constexpr size_t kMaxFields = 1000;
// Names kept of one body.
constexpr size_t kMaxUnknown = 32;

}  // namespace

absl::Status InField(absl::string_view field, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(field, ": ", status.message()));
}

absl::Status CheckFields(absl::string_view name, const Json& fields) {
  if (!fields.is_object()) return InField(name, Mistyped("an object", fields));
  if (fields.size() <= kMaxFields) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": expected at most ", kMaxFields, " fields, got ", fields.size()));
}

Json TakeField(Json& body, absl::string_view field) {
  const auto found = body.find(std::string(field));
  if (found == body.end()) return nullptr;
  Json value = std::move(*found);
  body.erase(found);
  return value;
}

void NoteUnknown(absl::string_view field, UnknownFields& unknown) {
  std::string name = Shorten(field);
  const bool known = std::find(unknown.begin(), unknown.end(), name) != unknown.end();
  if (unknown.size() < kMaxUnknown && !known) unknown.push_back(std::move(name));
}

absl::Status ReadRest(const Json& body, const absl::flat_hash_map<std::string, JsonReader>& readers,
                      UnknownFields& unknown) {
  for (const auto& [field, value] : body.items()) {
    const auto reader = readers.find(field);
    if (reader == readers.end()) {
      NoteUnknown(field, unknown);
    } else if (!value.is_null()) {
      SDAR_RETURN_IF_ERROR(InField(field, reader->second(value)));
    }
  }
  return absl::OkStatus();
}

void NoteRest(const Json& body, absl::string_view prefix, UnknownFields& unknown) {
  for (const auto& [name, value] : body.items()) {
    NoteUnknown(prefix.empty() ? name : absl::StrCat(prefix, ".", name), unknown);
  }
}

}  // namespace sdar
