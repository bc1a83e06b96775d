// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/json_grammar.h"

#include <algorithm>

namespace sdar::grammar {

// A set is done by one of the witnesses of its lowest want, and what then is left.
void FindCovers(ObjectRule& rule) {
  rule.covers.assign(size_t{rule.wants} + 1, kNever);
  rule.covers[0] = 0;
  for (uint32_t wants = 1; wants <= rule.wants; ++wants) {
    const uint32_t first = wants & -wants;
    for (const Witness& witness : rule.witnesses) {
      if ((witness.does & first) == 0 || (witness.does & ~wants) != 0) continue;
      rule.covers[wants] = std::min(rule.covers[wants], 1 + rule.covers[wants & ~witness.does]);
    }
  }
}

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
