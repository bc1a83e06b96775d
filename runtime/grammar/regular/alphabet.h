// SPDX-License-Identifier: Apache-2.0
// Code points grouped by what an automaton tells apart.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "runtime/grammar/regular/code_point_set.h"
#include "runtime/grammar/regular/dfa.h"

namespace sdar::grammar {

// Kinds of code points. All of a kind lead to the same state wherever they are read. Const use is
// thread-safe.
class Alphabet {
 public:
  // Consecutive code points of one kind.
  struct Piece {
    char32_t first = 0;
    char32_t last = 0;
    int kind = 0;
  };

  // Kinds that no edge of `edges` parts.
  static Alphabet OfEdges(const EdgeTable& edges);
  // Kinds that none of the sets parts.
  static Alphabet OfSets(absl::Span<const CodePointSet> sets);

  int num_kinds() const { return num_kinds_; }
  // Ascending; what is in no edge or set is left out.
  absl::Span<const Piece> pieces() const { return pieces_; }
  // The pieces within first .. last. Requires: no piece lies in it in part.
  absl::Span<const Piece> PiecesIn(char32_t first, char32_t last) const;
  // The kinds of a set that the alphabet was made of, ascending.
  std::vector<int> KindsIn(const CodePointSet& set) const;

 private:
  struct Marks;
  static Alphabet OfMarks(const Marks& marks);

  int num_kinds_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace sdar::grammar
