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

// From `at` on a code point has one more property, or one less. A kind is the sum of its
// properties: 128 bits of scrambled numbers, which nobody makes collide.
struct Alphabet::Mark {
  char32_t at = 0;
  uint64_t low = 0;
  uint64_t high = 0;
  static void Append(char32_t first, char32_t last, uint64_t property, std::vector<Mark>& marks) {
    const uint64_t low = Scrambled(property);
    const uint64_t high = Scrambled(low ^ Scrambled(~property));
    marks.push_back({first, low, high});
    marks.push_back({last + 1, 0 - low, 0 - high});
  }
};

Alphabet Alphabet::OfMarks(std::vector<Mark> marks) {
  std::sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) { return a.at < b.at; });
  Alphabet alphabet;
  absl::flat_hash_map<std::pair<uint64_t, uint64_t>, int> kinds;
  std::pair<uint64_t, uint64_t> sum = {0, 0};
  for (size_t i = 0; i < marks.size();) {
    const char32_t at = marks[i].at;
    for (; i < marks.size() && marks[i].at == at; ++i) {
      sum.first += marks[i].low;
      sum.second += marks[i].high;
    }
    if (sum == std::pair<uint64_t, uint64_t>(0, 0)) continue;
    const int kind = kinds.try_emplace(sum, static_cast<int>(kinds.size())).first->second;
    std::vector<Piece>& pieces = alphabet.pieces_;
    if (!pieces.empty() && pieces.back().kind == kind && pieces.back().last + 1 == at) {
      pieces.back().last = marks[i].at - 1;
    } else {
      pieces.push_back({at, marks[i].at - 1, kind});
    }
  }
  alphabet.num_kinds_ = static_cast<int>(kinds.size());
  return alphabet;
}

Alphabet Alphabet::OfEdges(absl::Span<const std::vector<Dfa::Edge>> edges) {
  std::vector<Mark> marks;
  for (size_t state = 0; state < edges.size(); ++state) {
    for (const Dfa::Edge& edge : edges[state]) {
      const uint64_t property = uint64_t{state} << 32 | static_cast<uint32_t>(edge.target);
      Mark::Append(edge.first, edge.last, property, marks);
    }
  }
  return OfMarks(std::move(marks));
}

Alphabet Alphabet::OfSets(absl::Span<const CodePointSet> sets) {
  std::vector<Mark> marks;
  for (size_t set = 0; set < sets.size(); ++set) {
    for (const CodePointRange& range : sets[set].ranges()) {
      Mark::Append(range.first, range.last, set, marks);
    }
  }
  return OfMarks(std::move(marks));
}

std::vector<int> Alphabet::KindsIn(char32_t first, char32_t last) const {
  std::vector<int> kinds;
  auto piece = std::lower_bound(pieces_.begin(), pieces_.end(), first,
                                [](const Piece& p, char32_t value) { return p.first < value; });
  for (; piece != pieces_.end() && piece->first <= last; ++piece) kinds.push_back(piece->kind);
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  return kinds;
}

std::vector<int> Alphabet::KindsIn(const CodePointSet& set) const {
  std::vector<int> kinds;
  for (const CodePointRange& range : set.ranges()) {
    const std::vector<int> more = KindsIn(range.first, range.last);
    kinds.insert(kinds.end(), more.begin(), more.end());
  }
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  return kinds;
}

}  // namespace sdar::grammar
