// SPDX-License-Identifier: Apache-2.0
// Deterministic automata over code points: what regular expressions, formats and ranges of numbers
// become.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "runtime/grammar/regular/edge_table.h"

namespace sdar::grammar {

// A regular language of code points. From every state an accepting one can be reached: what leads
// nowhere has no edge. A value; const use is thread-safe.
class Dfa {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;

  // `target` is never kDead.
  using Edge = DfaEdge;

  // The empty language.
  Dfa() = default;
  // Requires: there are as many states in both. What cannot reach an accepting state is taken away,
  // and states that accept the same are joined.
  Dfa(State start, EdgeTable edges, std::vector<bool> accepts);

  // kDead: the language is empty.
  State start() const { return start_; }
  int num_states() const { return static_cast<int>(accepts_.size()); }
  bool Accepts(State state) const { return accepts_[static_cast<size_t>(state)]; }
  // Ascending and disjoint.
  absl::Span<const Edge> Edges(State state) const { return edges_[static_cast<size_t>(state)]; }
  State Next(State state, char32_t code_point) const;

 private:
  State start_ = kDead;
  EdgeTable edges_;
  std::vector<bool> accepts_;
};

}  // namespace sdar::grammar
