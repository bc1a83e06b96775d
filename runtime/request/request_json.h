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

// A reader into `fields` for each of its fields, by name, and by the names that JetEngine has for
// four of them: topk, topp, dynamic_threshold and eb_threshold. A field that both names give is an
// error. Requires: `fields` outlives them, and was empty.
absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(RequestFields& fields);
absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(ScoreFields& fields);

// What a request is decoded with that leaves these fields out, by their names.
Json DefaultFieldsJson(const RequestDefaults& defaults);

}  // namespace sdar
