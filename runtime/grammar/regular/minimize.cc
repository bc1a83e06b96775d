// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/minimize.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include "runtime/grammar/regular/alphabet.h"

namespace sdar::grammar {
namespace {

using Edge = Dfa::Edge;

// Lists of numbers, kept one after the other: list i is values[begin[i]] .. values[begin[i+1]-1].
struct Lists {
  std::vector<int> begin;
  std::vector<int> values;
};

// The indices of `keys` (0 .. num_keys - 1) listed by key.
Lists ListedByKey(const std::vector<int>& keys, int num_keys) {
  Lists lists;
  lists.begin.assign(static_cast<size_t>(num_keys) + 1, 0);
  for (const int key : keys) ++lists.begin[static_cast<size_t>(key) + 1];
  std::partial_sum(lists.begin.begin(), lists.begin.end(), lists.begin.begin());
  lists.values.resize(keys.size());
  std::vector<int> next = lists.begin;
  for (size_t i = 0; i < keys.size(); ++i) {
    lists.values[static_cast<size_t>(next[static_cast<size_t>(keys[i])]++)] = static_cast<int>(i);
  }
  return lists;
}

// Elements parted into sets that are split again and again. Sets are intervals of one permutation.
class Partition {
 public:
  explicit Partition(int size)
      : elements_(static_cast<size_t>(size)),
        place_(static_cast<size_t>(size)),
        set_of_(static_cast<size_t>(size), 0) {
    std::iota(elements_.begin(), elements_.end(), 0);
    std::iota(place_.begin(), place_.end(), 0);
    if (size > 0) sets_.push_back({0, size, 0});
  }
  // Starts with a set for each list of elements.
  explicit Partition(const Lists& lists)
      : elements_(lists.values), place_(elements_.size()), set_of_(elements_.size()) {
    for (size_t list = 0; list + 1 < lists.begin.size(); ++list) {
      if (lists.begin[list] == lists.begin[list + 1]) continue;
      for (int i = lists.begin[list]; i < lists.begin[list + 1]; ++i) {
        const auto element = static_cast<size_t>(elements_[static_cast<size_t>(i)]);
        place_[element] = i;
        set_of_[element] = size();
      }
      sets_.push_back({lists.begin[list], lists.begin[list + 1], 0});
    }
  }

  int size() const { return static_cast<int>(sets_.size()); }
  int SetOf(int element) const { return set_of_[static_cast<size_t>(element)]; }
  int FirstOf(int set) const {
    return elements_[static_cast<size_t>(sets_[static_cast<size_t>(set)].begin)];
  }
  // Makes `elements` those of a set, which the next Mark or Split moves.
  void CopyElements(int set, std::vector<int>& elements) const {
    const Set& s = sets_[static_cast<size_t>(set)];
    elements.assign(elements_.begin() + s.begin, elements_.begin() + s.end);
  }

  void Mark(int element) {
    const int set = SetOf(element);
    Set& s = sets_[static_cast<size_t>(set)];
    const int from = place_[static_cast<size_t>(element)];
    const int to = s.begin + s.marked;
    if (from < to) return;  // marked already
    const int other = elements_[static_cast<size_t>(to)];
    elements_[static_cast<size_t>(from)] = other;
    place_[static_cast<size_t>(other)] = from;
    elements_[static_cast<size_t>(to)] = element;
    place_[static_cast<size_t>(element)] = to;
    if (s.marked++ == 0) touched_.push_back(set);
  }

  // Parts every set into its marked elements and the others; the smaller half is the new set.
  void Split() {
    for (const int set : touched_) {
      Set& s = sets_[static_cast<size_t>(set)];
      const int middle = s.begin + s.marked;
      const bool first_is_smaller = s.marked <= s.end - middle;
      s.marked = 0;
      if (middle == s.end) continue;
      const Set fresh = first_is_smaller ? Set{s.begin, middle, 0} : Set{middle, s.end, 0};
      (first_is_smaller ? s.begin : s.end) = middle;
      for (int i = fresh.begin; i < fresh.end; ++i) {
        set_of_[static_cast<size_t>(elements_[static_cast<size_t>(i)])] = size();
      }
      sets_.push_back(fresh);
    }
    touched_.clear();
  }

 private:
  struct Set {
    int begin;
    int end;
    int marked;
  };
  std::vector<int> elements_;
  std::vector<int> place_;
  std::vector<int> set_of_;
  std::vector<Set> sets_;
  std::vector<int> touched_;
};

// Edges by kind of code point instead of by ranges.
struct KindEdges {
  int num_kinds = 0;
  std::vector<int> tails;
  std::vector<int> kinds;
  std::vector<int> heads;
};

KindEdges ByKind(const EdgeTable& edges) {
  const Alphabet alphabet = Alphabet::OfEdges(edges);
  KindEdges result;
  result.num_kinds = alphabet.num_kinds();
  std::vector<int> seen(static_cast<size_t>(alphabet.num_kinds()), -1);
  for (int state = 0; state < edges.num_states(); ++state) {
    for (const Edge& edge : edges[static_cast<size_t>(state)]) {
      for (const Alphabet::Piece& piece : alphabet.PiecesIn(edge.first, edge.last)) {
        if (std::exchange(seen[static_cast<size_t>(piece.kind)], state) == state) continue;
        result.tails.push_back(state);
        result.kinds.push_back(piece.kind);
        result.heads.push_back(edge.target);
      }
    }
  }
  return result;
}

// States that accept the same texts lie in one set.
Partition Equivalent(const DfaParts& parts) {
  const int num_states = static_cast<int>(parts.accepts.size());
  const KindEdges edges = ByKind(parts.edges);
  Partition states(num_states);
  for (int state = 0; state < num_states; ++state) {
    if (parts.accepts[static_cast<size_t>(state)]) states.Mark(state);
  }
  states.Split();
  Partition bundles(ListedByKey(edges.kinds, edges.num_kinds));
  const Lists into = ListedByKey(edges.heads, num_states);
  int next_set = 1;
  std::vector<int> elements;
  for (int bundle = 0; bundle < bundles.size(); ++bundle) {
    bundles.CopyElements(bundle, elements);
    for (const int edge : elements) states.Mark(edges.tails[static_cast<size_t>(edge)]);
    states.Split();
    for (; next_set < states.size(); ++next_set) {
      states.CopyElements(next_set, elements);
      for (const int state : elements) {
        for (int i = into.begin[static_cast<size_t>(state)];
             i < into.begin[static_cast<size_t>(state) + 1]; ++i) {
          bundles.Mark(into.values[static_cast<size_t>(i)]);
        }
      }
      bundles.Split();
    }
  }
  return states;
}

// Which states reach an accepting one.
std::vector<bool> Living(const DfaParts& parts) {
  std::vector<int> tails;
  std::vector<int> heads;
  tails.reserve(parts.edges.edges().size());
  heads.reserve(parts.edges.edges().size());
  for (int state = 0; state < parts.edges.num_states(); ++state) {
    for (const Edge& edge : parts.edges[static_cast<size_t>(state)]) {
      tails.push_back(state);
      heads.push_back(edge.target);
    }
  }
  const Lists into = ListedByKey(heads, static_cast<int>(parts.accepts.size()));
  std::vector<bool> living = parts.accepts;
  std::vector<size_t> todo;
  for (size_t state = 0; state < living.size(); ++state) {
    if (living[state]) todo.push_back(state);
  }
  while (!todo.empty()) {
    const size_t state = todo.back();
    todo.pop_back();
    for (int i = into.begin[state]; i < into.begin[state + 1]; ++i) {
      const auto tail =
          static_cast<size_t>(tails[static_cast<size_t>(into.values[static_cast<size_t>(i)])]);
      if (living[tail]) continue;
      living[tail] = true;
      todo.push_back(tail);
    }
  }
  return living;
}

}  // namespace

DfaParts Trim(DfaParts parts) {
  if (parts.start == Dfa::kDead) return {};
  const std::vector<bool> living = Living(parts);
  if (!living[static_cast<size_t>(parts.start)]) return {};
  std::vector<Dfa::State> number(parts.accepts.size(), Dfa::kDead);
  std::vector<Dfa::State> order = {parts.start};
  number[static_cast<size_t>(parts.start)] = 0;
  DfaParts trimmed;
  trimmed.start = 0;
  trimmed.edges.Reserve(parts.accepts.size(), parts.edges.edges().size());
  for (size_t i = 0; i < order.size(); ++i) {
    const auto state = static_cast<size_t>(order[i]);
    trimmed.edges.AddState();
    for (const Edge& edge : parts.edges[state]) {
      if (!living[static_cast<size_t>(edge.target)]) continue;
      Dfa::State& target = number[static_cast<size_t>(edge.target)];
      if (target == Dfa::kDead) {
        target = static_cast<Dfa::State>(order.size());
        order.push_back(edge.target);
      }
      trimmed.edges.AddJoined({edge.first, edge.last, target});
    }
    trimmed.accepts.push_back(parts.accepts[state]);
  }
  return trimmed;
}

DfaParts Minimize(DfaParts parts) {
  if (parts.start == Dfa::kDead) return parts;
  const Partition states = Equivalent(parts);
  DfaParts joined;
  joined.start = states.SetOf(parts.start);
  for (int set = 0; set < states.size(); ++set) {
    const auto first = static_cast<size_t>(states.FirstOf(set));
    joined.edges.AddState();
    for (const Edge& edge : parts.edges[first]) {
      joined.edges.AddJoined({edge.first, edge.last, states.SetOf(edge.target)});
    }
    joined.accepts.push_back(parts.accepts[first]);
  }
  return Trim(std::move(joined));  // for its order
}

}  // namespace sdar::grammar
