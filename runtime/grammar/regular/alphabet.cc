// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/alphabet.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace sdar::grammar {
namespace {

uint64_t Scrambled(uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

}  // namespace

// Where code points get properties and lose them. A kind is the sum of its properties: 128 bits of
// scrambled numbers, which nobody makes collide.
struct Alphabet::Marks {
  // What is added to the sum from a code point on.
  absl::flat_hash_map<char32_t, std::pair<uint64_t, uint64_t>> changes;

  void Add(char32_t first, char32_t last, uint64_t property) {
    const uint64_t low = Scrambled(property);
    const uint64_t high = Scrambled(low ^ Scrambled(~property));
    auto& begin = changes[first];
    begin = {begin.first + low, begin.second + high};
    auto& end = changes[last + 1];
    end = {end.first - low, end.second - high};
  }
};

Alphabet Alphabet::OfMarks(const Marks& marks) {
  std::vector<std::pair<char32_t, std::pair<uint64_t, uint64_t>>> changes(marks.changes.begin(),
                                                                          marks.changes.end());
  std::sort(changes.begin(), changes.end());
  Alphabet alphabet;
  absl::flat_hash_map<std::pair<uint64_t, uint64_t>, int> kinds;
  std::pair<uint64_t, uint64_t> sum = {0, 0};
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto& [at, change] = changes[i];
    sum = {sum.first + change.first, sum.second + change.second};
    if (sum == std::pair<uint64_t, uint64_t>(0, 0)) continue;
    const char32_t last = changes[i + 1].first - 1;
    const int kind = kinds.try_emplace(sum, static_cast<int>(kinds.size())).first->second;
    std::vector<Piece>& pieces = alphabet.pieces_;
    if (!pieces.empty() && pieces.back().kind == kind && pieces.back().last + 1 == at) {
      pieces.back().last = last;
    } else {
      pieces.push_back({at, last, kind});
    }
  }
  alphabet.num_kinds_ = static_cast<int>(kinds.size());
  return alphabet;
}

Alphabet Alphabet::OfEdges(const EdgeTable& edges) {
  Marks marks;
  for (size_t state = 0; state < static_cast<size_t>(edges.num_states()); ++state) {
    for (const Dfa::Edge& edge : edges[state]) {
      marks.Add(edge.first, edge.last, uint64_t{state} << 32 | static_cast<uint32_t>(edge.target));
    }
  }
  return OfMarks(marks);
}

Alphabet Alphabet::OfSets(absl::Span<const CodePointSet> sets) {
  Marks marks;
  for (size_t set = 0; set < sets.size(); ++set) {
    for (const CodePointRange& range : sets[set].ranges()) {
      marks.Add(range.first, range.last, set);
    }
  }
  return OfMarks(marks);
}

absl::Span<const Alphabet::Piece> Alphabet::PiecesIn(char32_t first, char32_t last) const {
  const auto begin =
      std::lower_bound(pieces_.begin(), pieces_.end(), first,
                       [](const Piece& p, char32_t value) { return p.first < value; });
  auto end = begin;
  while (end != pieces_.end() && end->first <= last) ++end;
  return {pieces_.data() + (begin - pieces_.begin()), static_cast<size_t>(end - begin)};
}

std::vector<int> Alphabet::KindsIn(const CodePointSet& set) const {
  std::vector<int> kinds;
  for (const CodePointRange& range : set.ranges()) {
    for (const Piece& piece : PiecesIn(range.first, range.last)) kinds.push_back(piece.kind);
  }
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  return kinds;
}

}  // namespace sdar::grammar
