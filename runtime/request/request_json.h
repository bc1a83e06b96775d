// SPDX-License-Identifier: Apache-2.0
// RequestFields and ScoreFields as JSON objects bring them, in JSON lines and in bodies of HTTP
// requests.
#pragma once

#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "common/json.h"
#include "runtime/request/request_fields.h"
#include "runtime/request/score_fields.h"

namespace sdar {

// Takes one field's value. InvalidArgument says what was expected and what was there.
using JsonReader = std::function<absl::Status(const Json&)>;

// A reader into `fields` for each of its fields, by name. Requires: `fields` outlives them.
absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(RequestFields& fields);
absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(ScoreFields& fields);

}  // namespace sdar
