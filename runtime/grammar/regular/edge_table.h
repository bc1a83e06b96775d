// SPDX-License-Identifier: Apache-2.0
// The edges of an automaton, state after state in one piece of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace sdar::grammar {

// The code points first .. last lead to the state `target`.
struct DfaEdge {
  char32_t first = 0;
  char32_t last = 0;
  int32_t target = -1;
  friend bool operator==(const DfaEdge&, const DfaEdge&) = default;
};

// A value; const use is thread-safe.
class EdgeTable {
 public:
  // Begins a state, to which edges are added until the next one begins.
  void AddState() { begins_.push_back(edges_.size()); }
  // Requires: edges of a state are added in ascending order, and are disjoint.
  void Add(const DfaEdge& edge) { edges_.push_back(edge); }
  // Add, but with one edge where two follow each other and lead to the same state.
  void AddJoined(const DfaEdge& edge) {
    if (edges_.size() > begins_.back() && edges_.back().target == edge.target &&
        edges_.back().last + 1 == edge.first) {
      edges_.back().last = edge.last;
    } else {
      edges_.push_back(edge);
    }
  }

  int num_states() const { return static_cast<int>(begins_.size()); }
  // Of all states, in their order.
  absl::Span<const DfaEdge> edges() const { return edges_; }
  absl::Span<const DfaEdge> operator[](size_t state) const {
    const size_t begin = begins_[state];
    const size_t end = state + 1 < begins_.size() ? begins_[state + 1] : edges_.size();
    return {edges_.data() + begin, end - begin};
  }

  void Reserve(size_t num_states, size_t num_edges) {
    begins_.reserve(num_states);
    edges_.reserve(num_edges);
  }

 private:
  std::vector<DfaEdge> edges_;
  std::vector<size_t> begins_;
};

}  // namespace sdar::grammar
