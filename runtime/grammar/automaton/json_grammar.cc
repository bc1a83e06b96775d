// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/json_grammar.h"

namespace sdar::grammar {

size_t JsonGrammar::MemoryBytes() const {
  size_t bytes = nodes.size() * sizeof(ValueNode);
  for (const ScanDfa& dfa : dfas) bytes += dfa.MemoryBytes();
  for (const ObjectRule& rule : objects) {
    bytes += sizeof(ObjectRule) + rule.classes.size() * sizeof(NameClass);
    for (const PropertyRule& property : rule.named) {
      bytes += sizeof(PropertyRule) + property.name.size() * sizeof(char32_t);
    }
  }
  for (const ArrayRule& rule : arrays) {
    bytes += sizeof(ArrayRule) + rule.prefix.size() * sizeof(NodeIndex) +
             rule.graph.size() * sizeof(ArrayRule::State);
  }
  return bytes;
}

}  // namespace sdar::grammar
