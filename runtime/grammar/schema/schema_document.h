// SPDX-License-Identifier: Apache-2.0
// A JSON schema as a document: its draft, its places, and what its references mean.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/grammar/schema/grammar_limits.h"

namespace sdar::grammar {

enum class Draft : uint8_t { k4, k6, k7, k2019, k2020 };

// The status with the JSON pointer of the place that it speaks of.
absl::Status ErrorAt(absl::string_view pointer, absl::string_view message);
// That pointer, "" where the status has none.
std::string PointerOf(const absl::Status& status);

// The schema must outlive it. Not thread-safe.
class SchemaDocument {
 public:
  static absl::StatusOr<SchemaDocument> Read(const Json& root, const GrammarLimits& limits);

  const Json& root() const { return *root_; }
  Draft draft() const { return draft_; }
  // The keyword that names a resource: $id, or id in draft 4.
  const char* id_keyword() const { return draft_ == Draft::k4 ? "id" : "$id"; }
  // The JSON pointer of a value of the schema, beginning with "#".
  std::string Pointer(const Json* value) const;
  // The first value of the schema that is equal to this one and has the same base.
  const Json* Canonical(const Json* value) const;
  // The schema that `reference` at `place` names.
  absl::StatusOr<const Json*> Resolve(const Json* place, const std::string& reference) const;
  // Keeps a value that is not in the schema; its pointer is that of `place`.
  const Json* Keep(Json value, const Json* place);

 private:
  struct Place {
    const Json* parent = nullptr;
    std::string key;
    int base = 0;  // of resources_
    size_t hash = 0;
  };
  struct Resource {
    std::string uri;
    const Json* root = nullptr;
  };

  size_t Visit(const Json& value, const Json* parent, std::string key, int base);
  void Name(const Json& value, int& base);
  std::string Absolute(absl::string_view reference, int base) const;
  absl::StatusOr<const Json*> Follow(const Json* from, absl::string_view pointer) const;

  const Json* root_ = nullptr;
  Draft draft_ = Draft::k2020;
  std::deque<Resource> resources_;
  absl::flat_hash_map<const Json*, Place> places_;
  absl::flat_hash_map<std::string, const Json*> named_;  // by URI, and by URI#anchor
  mutable absl::flat_hash_map<std::pair<size_t, int>, const Json*> canonical_;
  std::deque<Json> kept_;
};

}  // namespace sdar::grammar
