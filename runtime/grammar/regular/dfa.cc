// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/dfa.h"

#include <algorithm>
#include <utility>

#include "runtime/grammar/regular/minimize.h"

namespace sdar::grammar {

Dfa::Dfa(State start, EdgeTable edges, std::vector<bool> accepts) {
  DfaParts parts = Minimize(Trim({start, std::move(edges), std::move(accepts)}));
  start_ = parts.start;
  edges_ = std::move(parts.edges);
  accepts_ = std::move(parts.accepts);
}

Dfa::State Dfa::Next(State state, char32_t code_point) const {
  const absl::Span<const Edge> edges = edges_[static_cast<size_t>(state)];
  const auto above =
      std::upper_bound(edges.begin(), edges.end(), code_point,
                       [](char32_t value, const Edge& edge) { return value < edge.first; });
  if (above == edges.begin()) return kDead;
  const Edge& edge = *std::prev(above);
  return code_point <= edge.last ? edge.target : kDead;
}

}  // namespace sdar::grammar
