// SPDX-License-Identifier: Apache-2.0
// Makes an automaton as small as its language allows.
#pragma once

#include <vector>

#include "runtime/grammar/regular/dfa.h"

namespace sdar::grammar {

// What a Dfa is made of.
struct DfaParts {
  Dfa::State start = Dfa::kDead;
  EdgeTable edges;
  std::vector<bool> accepts;
};

// Without the states that the start does not reach and those that reach no accepting state. States
// are numbered in the order of a breadth-first search, so equal languages that are minimal give
// equal parts.
DfaParts Trim(DfaParts parts);

// With states that accept the same texts joined. Requires: parts are trimmed. Takes time
// proportional to edges times the logarithm of states (Valmari, 2012).
DfaParts Minimize(DfaParts parts);

}  // namespace sdar::grammar
