// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/nfa.h"

#include <utility>

#include "absl/container/flat_hash_map.h"

namespace sdar::grammar {

Nfa::State Nfa::AddState() {
  steps_.emplace_back();
  jumps_.emplace_back();
  return num_states() - 1;
}

int Nfa::AddSet(CodePointSet set) {
  sets_.push_back(std::move(set));
  return static_cast<int>(sets_.size()) - 1;
}

void Nfa::AddStep(State from, int set, State to) {
  steps_[static_cast<size_t>(from)].push_back({set, to});
}

void Nfa::AddJump(State from, State to, Assertion assertion) {
  jumps_[static_cast<size_t>(from)].push_back({assertion, to});
}

Nfa::State Nfa::AddDfa(const Dfa& dfa, State accept) {
  const State first = num_states();
  for (int state = 0; state < dfa.num_states(); ++state) AddState();
  for (int state = 0; state < dfa.num_states(); ++state) {
    absl::flat_hash_map<Dfa::State, std::vector<CodePointRange>> ranges;
    for (const Dfa::Edge& edge : dfa.Edges(state)) {
      ranges[edge.target].push_back({edge.first, edge.last});
    }
    for (auto& [target, of_target] : ranges) {
      AddStep(first + state, AddSet(CodePointSet(std::move(of_target))), first + target);
    }
    if (dfa.Accepts(state)) AddJump(first + state, accept);
  }
  return first + dfa.start();
}

}  // namespace sdar::grammar
