// SPDX-License-Identifier: Apache-2.0
// What a regular expression says, as a tree.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/grammar/regular/code_point_set.h"
#include "runtime/grammar/regular/nfa.h"

namespace sdar::grammar {

// Where ECMAScript and Python read a pattern in two ways: what both accept, or what one accepts.
enum class RegexReading { kBoth, kEither };

struct RegexNode {
  enum class Kind { kSet, kAssertion, kSequence, kChoice, kRepeat };
  Kind kind = Kind::kSequence;
  int set = 0;                             // kSet: of RegexTree::sets
  Assertion assertion = Assertion::kNone;  // kAssertion
  int min = 0;                             // kRepeat
  int max = 0;                             // kRepeat; -1: without a limit
  std::vector<int> children;               // of RegexTree::nodes
};

// A value. Nodes refer to earlier ones.
struct RegexTree {
  std::vector<RegexNode> nodes;
  std::vector<CodePointSet> sets;
  int root = 0;
};

}  // namespace sdar::grammar
