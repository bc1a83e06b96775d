// SPDX-License-Identifier: Apache-2.0
// Nondeterministic automata: what patterns become before they become a Dfa.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "runtime/grammar/regular/code_point_set.h"
#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// What has to hold between two characters for an edge that reads none.
enum class Assertion : uint8_t {
  kNone,
  kTextStart,
  kTextEnd,
  kLineStart,
  kLineEnd,
  // Between a word character and another, whether only ASCII or all of Unicode has word characters.
  kWordBoundary,
  kNoWordBoundary,
};

// A nondeterministic automaton whose edges read a set of code points or, where an assertion holds,
// nothing. Not thread-safe.
class Nfa {
 public:
  using State = int;
  struct Step {
    int set = 0;  // of sets()
    State target = 0;
  };
  struct Jump {
    Assertion assertion = Assertion::kNone;
    State target = 0;
  };

  State AddState();
  int AddSet(CodePointSet set);
  void AddStep(State from, int set, State to);
  void AddJump(State from, State to, Assertion assertion = Assertion::kNone);
  // Adds the states of `dfa`; returns where it starts. What accepts there jumps to `accept`.
  // Requires: the language is not empty.
  State AddDfa(const Dfa& dfa, State accept);

  int num_states() const { return static_cast<int>(steps_.size()); }
  absl::Span<const Step> Steps(State state) const { return steps_[static_cast<size_t>(state)]; }
  absl::Span<const Jump> Jumps(State state) const { return jumps_[static_cast<size_t>(state)]; }
  absl::Span<const CodePointSet> sets() const { return sets_; }

  // The texts that lead from `start` to `accept`. ResourceExhausted beyond the limits.
  absl::StatusOr<Dfa> Determinize(State start, State accept, const RegularLimits& limits) const;

 private:
  std::vector<std::vector<Step>> steps_;
  std::vector<std::vector<Jump>> jumps_;
  std::vector<CodePointSet> sets_;
};

}  // namespace sdar::grammar
