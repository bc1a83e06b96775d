// SPDX-License-Identifier: Apache-2.0
// What a JSON schema becomes before it is walked: nodes with rules for each kind of value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/grammar/automaton/scan_dfa.h"

namespace sdar::grammar {

using NodeIndex = int32_t;
inline constexpr NodeIndex kNoNode = -1;
inline constexpr int kNoDfa = -1;

// The values of one place in a text: any that one of its parts takes.
struct ValueNode {
  bool takes_null = false;
  bool takes_true = false;
  bool takes_false = false;
  int number = kNoDfa;
  int string = kNoDfa;
  std::vector<int> objects;  // rules, any of which
  std::vector<int> arrays;
  int64_t least = kNever;  // bytes of the shortest value
};

// A property that a rule names.
struct PropertyRule {
  std::u32string name;
  NodeIndex node = kNoNode;  // kNoNode: must not be there
  bool required = false;
  int64_t key_cost = 0;      // bytes of the name in quotes and of the colon
  std::vector<int> implied;  // places of properties that must be there with it, itself left out
};

// Properties that no rule names, told apart by their names.
struct NameClass {
  int dfa = kNoDfa;          // kNoDfa: all other names
  NodeIndex node = kNoNode;  // never kNoNode in a rule
};

// A property of a class with a value of a node does what some of the rule's wants ask for. For each
// set of wants that a property can do there is a witness.
struct Witness {
  int name_class = 0;
  NodeIndex node = kNoNode;
  uint32_t does = 0;  // bits of wants
};

// Law: a rule is satisfiable, classes are disjoint, hold no named property, and have many names.
struct ObjectRule {
  std::vector<PropertyRule> named;  // by name
  std::vector<NameClass> classes;
  std::vector<Witness> witnesses;
  uint32_t wants = 0;  // bits: of each want some property has to do it
  // [wants + 1]: the least number of properties that do such a set; kNever: it cannot be done.
  std::vector<int64_t> covers;
  int64_t min = 0;   // at least min properties; with `implied` at most 1
  int64_t max = -1;  // -1: without a limit
};

// Sets covers, which follow from wants and witnesses.
void FindCovers(ObjectRule& rule);

// One way on in an ArrayRule's graph.
struct ArrayStep {
  NodeIndex node = kNoNode;
  int target = 0;
};

// Law: a rule is satisfiable.
struct ArrayRule {
  std::vector<NodeIndex> prefix;
  NodeIndex rest = kNoNode;  // kNoNode: no element after the prefix
  int64_t min = 0;
  int64_t max = -1;
  bool unique = false;  // elements are null, booleans or strings

  // Where elements are counted by what they contain: states in place of the fields above.
  struct State {
    std::vector<ArrayStep> steps;
    bool accepts = false;
    int64_t least = kNever;  // bytes of the elements to come, with a comma before each
  };
  std::vector<State> graph;
};

// A value; const use is thread-safe. Law: each node has a value, so that least < kNever.
struct JsonGrammar {
  std::vector<ScanDfa> dfas;
  std::vector<ValueNode> nodes;
  std::vector<ObjectRule> objects;
  std::vector<ArrayRule> arrays;
  NodeIndex root = kNoNode;   // kNoNode: no text is valid
  int64_t most_distinct = 0;  // the greatest min of an array rule that is unique

  size_t MemoryBytes() const;
};

}  // namespace sdar::grammar
