// SPDX-License-Identifier: Apache-2.0
// How much a regular language may cost to build. Patterns are user input.
#pragma once

#include <cstdint>

namespace sdar::grammar {

// What exceeds a limit is answered by ResourceExhausted.
struct RegularLimits {
  // Of a deterministic automaton, before it is minimized too.
  int max_states = 50'000;
  // Of all its states together.
  int64_t max_edges = 1'000'000;
  // Of a nondeterministic automaton.
  int max_nfa_states = 100'000;
  // Visits of a state or an edge while states are joined into sets; 10^8 are about one second.
  int64_t max_steps = 40'000'000;
  // Of a pattern.
  int max_pattern_bytes = 65'536;
  // Groups within groups.
  int max_depth = 200;
};

}  // namespace sdar::grammar
