// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/schema_document.h"

#include <charconv>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "common/status_macros.h"

namespace sdar::grammar {
namespace {

constexpr char kPointerPayload[] = "sdar/schema-pointer";

absl::StatusOr<Draft> DraftOf(const Json& root) {
  if (!root.is_object() || !root.contains("$schema")) return Draft::k2020;
  const Json& name = root["$schema"];
  if (!name.is_string()) return ErrorAt("#/$schema", "$schema is not a string");
  const std::string& uri = name.get_ref<const std::string&>();
  constexpr std::pair<const char*, Draft> kDrafts[] = {{"draft-04", Draft::k4},
                                                       {"draft-06", Draft::k6},
                                                       {"draft-07", Draft::k7},
                                                       {"2019-09", Draft::k2019},
                                                       {"2020-12", Draft::k2020}};
  for (const auto& [part, draft] : kDrafts) {
    if (absl::StrContains(uri, part)) return draft;
  }
  if (absl::StrContains(uri, "draft-03")) {
    return ErrorAt("#/$schema", "$schema names draft 3, which is not supported");
  }
  return Draft::k2020;
}

std::string PercentDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* first = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(first, first + 2, byte, 16).ptr == first + 2) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

absl::Status ErrorAt(absl::string_view pointer, absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kPointerPayload, absl::Cord(pointer));
  return status;
}

std::string PointerOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPointerPayload);
  return payload ? std::string(*payload) : "";
}

absl::StatusOr<SchemaDocument> SchemaDocument::Read(const Json& root, const GrammarLimits& limits) {
  if (!root.is_object() && !root.is_boolean()) {
    return ErrorAt("#", "a schema is an object, true or false");
  }
  if (CountJsonValues(root) > limits.max_values) {
    return ErrorAt("#", absl::StrCat("the schema has more than ", limits.max_values, " values"));
  }
  SchemaDocument document;
  document.root_ = &root;
  SDAR_ASSIGN_OR_RETURN(document.draft_, DraftOf(root));
  document.resources_.push_back({"", &root});
  document.Visit(root, nullptr, "", 0);
  return document;
}

// The depth is that of ParseJson.
size_t SchemaDocument::Visit(const Json& value, const Json* parent, std::string key, int base) {
  if (value.is_object()) Name(value, base);
  size_t hash = absl::HashOf(static_cast<int>(value.type()), value.size());
  if (value.is_object()) {
    for (const auto& [name, element] : value.items()) {
      hash = absl::HashOf(hash, name, Visit(element, &value, name, base));
    }
  } else if (value.is_array()) {
    size_t index = 0;
    for (const Json& element : value) {
      hash = absl::HashOf(hash, Visit(element, &value, absl::StrCat(index++), base));
    }
  } else {
    hash = absl::HashOf(hash, DumpJson(value));
  }
  places_[&value] = {parent, std::move(key), base, hash};
  return hash;
}

void SchemaDocument::Name(const Json& value, int& base) {
  const auto id = value.find(id_keyword());
  if (id != value.end() && id->is_string()) {
    const std::string absolute = Absolute(id->get_ref<const std::string&>(), base);
    const std::vector<std::string> parts = absl::StrSplit(absolute, absl::MaxSplits('#', 1));
    if (parts.size() > 1 && !parts[1].empty()) {
      named_.try_emplace(absolute, &value);  // an anchor as drafts 4 to 7 write it
    } else {
      if (&value == root_) {
        resources_[0].uri = parts[0];
      } else {
        base = static_cast<int>(resources_.size());
        resources_.push_back({parts[0], &value});
      }
      named_.try_emplace(parts[0], &value);
    }
  }
  for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
    const auto anchor = value.find(keyword);
    if (anchor == value.end() || !anchor->is_string()) continue;
    named_.try_emplace(absl::StrCat(resources_[static_cast<size_t>(base)].uri, "#",
                                    anchor->get_ref<const std::string&>()),
                       &value);
  }
}

// Enough of RFC 3986 for names within one document.
std::string SchemaDocument::Absolute(absl::string_view reference, int base) const {
  const std::string& from = resources_[static_cast<size_t>(base)].uri;
  if (reference.empty() || reference[0] == '#') return absl::StrCat(from, reference);
  const size_t colon = reference.find(':');
  const size_t slash = reference.find_first_of("/?#");
  if (colon != absl::string_view::npos && (slash == absl::string_view::npos || colon < slash)) {
    return std::string(reference);
  }
  const size_t scheme = from.find("://");
  if (reference[0] == '/') {
    const size_t path = scheme == std::string::npos ? 0 : from.find('/', scheme + 3);
    return absl::StrCat(absl::string_view(from).substr(0, path), reference);
  }
  const size_t last = from.rfind('/');
  if (last == std::string::npos || (scheme != std::string::npos && last < scheme + 3)) {
    return scheme == std::string::npos ? std::string(reference)
                                       : absl::StrCat(from, "/", reference);
  }
  return absl::StrCat(absl::string_view(from).substr(0, last + 1), reference);
}

std::string SchemaDocument::Pointer(const Json* value) const {
  std::string pointer;
  for (auto place = places_.find(value); place != places_.end() && place->second.parent;
       place = places_.find(place->second.parent)) {
    if (place->second.key.empty() && place->second.hash == 0) continue;  // Keep
    pointer = absl::StrCat("/", absl::StrReplaceAll(place->second.key, {{"~", "~0"}, {"/", "~1"}}),
                           pointer);
  }
  return absl::StrCat("#", pointer);
}

const Json* SchemaDocument::Canonical(const Json* value) const {
  const auto place = places_.find(value);
  if (place == places_.end()) return value;
  const auto [found, is_new] =
      canonical_.try_emplace({place->second.hash, place->second.base}, value);
  return is_new || *found->second == *value ? found->second : value;
}

const Json* SchemaDocument::Keep(Json value, const Json* place) {
  kept_.push_back(std::move(value));
  const auto found = places_.find(place);
  places_[&kept_.back()] = {place, "", found == places_.end() ? 0 : found->second.base, 0};
  return &kept_.back();
}

absl::StatusOr<const Json*> SchemaDocument::Resolve(const Json* place,
                                                    const std::string& reference) const {
  const auto found = places_.find(place);
  const int base = found == places_.end() ? 0 : found->second.base;
  const std::string absolute = Absolute(reference, base);
  const size_t hash = absolute.find('#');
  const std::string uri = absolute.substr(0, hash);
  const std::string fragment =
      hash == std::string::npos ? "" : PercentDecoded(absl::string_view(absolute).substr(hash + 1));
  const std::string missing = absl::StrCat("$ref: ", reference, " is not in the schema");
  const Json* from = uri == resources_[static_cast<size_t>(base)].uri
                         ? resources_[static_cast<size_t>(base)].root
                         : nullptr;
  if (from == nullptr) {
    const auto named = named_.find(uri);
    if (named == named_.end()) return absl::InvalidArgumentError(missing);
    from = named->second;
  }
  if (fragment.empty()) return from;
  if (fragment[0] != '/') {
    const auto anchor = named_.find(absl::StrCat(uri, "#", fragment));
    if (anchor == named_.end()) return absl::InvalidArgumentError(missing);
    return anchor->second;
  }
  absl::StatusOr<const Json*> target = Follow(from, fragment);
  if (!target.ok()) return absl::InvalidArgumentError(missing);
  return target;
}

absl::StatusOr<const Json*> SchemaDocument::Follow(const Json* from,
                                                   absl::string_view pointer) const {
  for (const absl::string_view part : absl::StrSplit(pointer.substr(1), '/')) {
    const std::string key = absl::StrReplaceAll(part, {{"~1", "/"}, {"~0", "~"}});
    if (from->is_object() && from->contains(key)) {
      from = &(*from)[key];
      continue;
    }
    size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (!from->is_array() || error != std::errc() || end != key.data() + key.size() ||
        index >= from->size()) {
      return absl::NotFoundError("");
    }
    from = &(*from)[index];
  }
  return from;
}

}  // namespace sdar::grammar
