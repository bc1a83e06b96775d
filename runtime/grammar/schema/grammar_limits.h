// SPDX-License-Identifier: Apache-2.0
// How much a grammar may cost to build. Grammars are user input.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// What exceeds a limit is InvalidArgument that says so.
struct GrammarLimits {
  size_t max_values = 200'000;      // of the schema's JSON
  int max_depth = 128;              // of schemas in one place: references, allOf and the like
  size_t max_nodes = 50'000;        // places in a text
  size_t max_alternatives = 1024;   // ways to read one object or array
  int64_t max_work = 1'000'000;     // properties looked at while schemas are joined
  int64_t max_counted = 1'000'000;  // minItems, and what else is counted
  RegularLimits regular = {.max_states = 20'000, .max_edges = 400'000, .max_steps = 10'000'000};
};

}  // namespace sdar::grammar
