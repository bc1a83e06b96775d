// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/dfa_operations.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/grammar/regular/code_point_set.h"
#include "runtime/grammar/regular/nfa.h"

namespace sdar::grammar {
namespace {

using State = Dfa::State;
using StatePair = std::pair<State, State>;

absl::Status TooManyStates() {
  return absl::ResourceExhaustedError("the combined patterns need too many states");
}

absl::Span<const Dfa::Edge> EdgesOf(const Dfa& dfa, State state) {
  return state == Dfa::kDead ? absl::Span<const Dfa::Edge>() : dfa.Edges(state);
}

bool AcceptsAt(const Dfa& dfa, State state) { return state != Dfa::kDead && dfa.Accepts(state); }

// Calls `visit` with every range of code points that two lists of edges lead somewhere, and where:
// kDead where one of them does not.
void ForEachCommonRange(absl::Span<const Dfa::Edge> a, absl::Span<const Dfa::Edge> b,
                        absl::FunctionRef<void(char32_t first, char32_t last, StatePair)> visit) {
  size_t i = 0;
  size_t j = 0;
  char32_t at = 0;
  constexpr char32_t kEnd = 0x110000;
  while (i < a.size() || j < b.size()) {
    const char32_t a_first = i < a.size() ? std::max(a[i].first, at) : kEnd;
    const char32_t b_first = j < b.size() ? std::max(b[j].first, at) : kEnd;
    const char32_t first = std::min(a_first, b_first);
    const bool in_a = a_first == first;
    const bool in_b = b_first == first;
    char32_t last = kEnd;
    if (in_a) last = std::min(last, a[i].last);
    if (in_b) last = std::min(last, b[j].last);
    if (!in_a && i < a.size()) last = std::min<char32_t>(last, a_first - 1);
    if (!in_b && j < b.size()) last = std::min<char32_t>(last, b_first - 1);
    visit(first, last, {in_a ? a[i].target : Dfa::kDead, in_b ? b[j].target : Dfa::kDead});
    at = last + 1;
    if (i < a.size() && a[i].last < at) ++i;
    if (j < b.size() && b[j].last < at) ++j;
  }
}

// Which pairs of states matter, and which accept.
enum class Combination { kBoth, kEither, kFirstOnly };

bool Matters(Combination how, StatePair pair) {
  const bool a = pair.first != Dfa::kDead;
  const bool b = pair.second != Dfa::kDead;
  return how == Combination::kBoth ? a && b : how == Combination::kEither ? a || b : a;
}

bool Combined(Combination how, bool a, bool b) {
  return how == Combination::kBoth ? a && b : how == Combination::kEither ? a || b : a && !b;
}

absl::StatusOr<Dfa> Combine(const Dfa& a, const Dfa& b, Combination how,
                            const RegularLimits& limits) {
  const StatePair start = {a.start(), b.start()};
  if (!Matters(how, start)) return Dfa();
  absl::flat_hash_map<StatePair, State> numbers = {{start, 0}};
  std::vector<StatePair> pairs = {start};
  EdgeTable edges;
  std::vector<bool> accepts;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const StatePair pair = pairs[i];
    accepts.push_back(Combined(how, AcceptsAt(a, pair.first), AcceptsAt(b, pair.second)));
    edges.AddState();
    ForEachCommonRange(EdgesOf(a, pair.first), EdgesOf(b, pair.second),
                       [&](char32_t first, char32_t last, StatePair to) {
                         if (!Matters(how, to)) return;
                         const auto [found, fresh] =
                             numbers.try_emplace(to, static_cast<State>(pairs.size()));
                         if (fresh) pairs.push_back(to);
                         edges.Add({first, last, found->second});
                       });
    if (pairs.size() > static_cast<size_t>(limits.max_states) ||
        edges.edges().size() > static_cast<size_t>(limits.max_edges)) {
      return TooManyStates();
    }
  }
  return Dfa(0, std::move(edges), std::move(accepts));
}

// Whether no pair of states that `how` accepts is reached; false too beyond the limits.
bool NoneReached(const Dfa& a, const Dfa& b, Combination how, const RegularLimits& limits) {
  const StatePair start = {a.start(), b.start()};
  if (!Matters(how, start)) return true;
  absl::flat_hash_set<StatePair> seen = {start};
  std::vector<StatePair> todo = {start};
  int64_t steps = 0;
  while (!todo.empty()) {
    const StatePair pair = todo.back();
    todo.pop_back();
    if (Combined(how, AcceptsAt(a, pair.first), AcceptsAt(b, pair.second))) return false;
    ForEachCommonRange(EdgesOf(a, pair.first), EdgesOf(b, pair.second),
                       [&](char32_t, char32_t, StatePair to) {
                         ++steps;
                         if (Matters(how, to) && seen.insert(to).second) todo.push_back(to);
                       });
    if (steps > limits.max_steps || seen.size() > static_cast<size_t>(limits.max_steps / 16)) {
      return false;
    }
  }
  return true;
}

// Adds the states of a tree of texts.
class TextTree {
 public:
  TextTree() { AddNode(); }

  absl::Status Add(absl::string_view text, int max_states) {
    State state = 0;
    for (size_t i = 0; i < text.size();) {
      const Utf8Step step = ReadUtf8(text, i);
      if (!step.valid) return absl::InvalidArgumentError("a text is not UTF-8");
      i += step.length;
      const auto [found, fresh] = children_[static_cast<size_t>(state)].try_emplace(
          step.code_point, static_cast<State>(children_.size()));
      state = found->second;
      if (fresh) AddNode();
      if (children_.size() > static_cast<size_t>(max_states)) return TooManyStates();
    }
    accepts_[static_cast<size_t>(state)] = true;
    return absl::OkStatus();
  }

  Dfa Build() {
    EdgeTable edges;
    edges.Reserve(children_.size(), children_.size());
    for (const auto& children : children_) {
      edges.AddState();
      for (const auto& [code_point, child] : children) edges.Add({code_point, code_point, child});
    }
    return Dfa(0, std::move(edges), std::move(accepts_));
  }

 private:
  void AddNode() {
    children_.emplace_back();
    accepts_.push_back(false);
  }
  std::vector<std::map<char32_t, State>> children_;
  std::vector<bool> accepts_;
};

void AddEveryCharacterTo(State target, EdgeTable& edges) {
  const CodePointSet all = CodePointSet::All();
  for (const CodePointRange& range : all.ranges()) edges.Add({range.first, range.last, target});
}

}  // namespace

Dfa AnyText() {
  EdgeTable edges;
  edges.AddState();
  AddEveryCharacterTo(0, edges);
  return Dfa(0, std::move(edges), {true});
}

absl::StatusOr<Dfa> Literal(absl::string_view text, const RegularLimits& limits) {
  TextTree tree;
  SDAR_RETURN_IF_ERROR(tree.Add(text, limits.max_states));
  return tree.Build();
}

absl::StatusOr<Dfa> AnyOf(absl::Span<const std::string> texts, const RegularLimits& limits) {
  if (texts.empty()) return Dfa();
  TextTree tree;
  for (const std::string& text : texts) SDAR_RETURN_IF_ERROR(tree.Add(text, limits.max_states));
  return tree.Build();
}

absl::StatusOr<Dfa> LengthBetween(int64_t min, int64_t max, const RegularLimits& limits) {
  min = std::max<int64_t>(min, 0);
  if (max < -1 || (max >= 0 && max < min)) return Dfa();
  const int64_t longest = std::max(min, max);
  if (longest >= limits.max_states) return TooManyStates();
  EdgeTable edges;
  std::vector<bool> accepts;
  for (int64_t length = 0; length <= longest; ++length) {
    const bool last = length == longest;
    accepts.push_back(length >= min);
    edges.AddState();
    if (last && max >= 0) break;
    AddEveryCharacterTo(static_cast<State>(last ? length : length + 1), edges);
  }
  return Dfa(0, std::move(edges), std::move(accepts));
}

absl::StatusOr<Dfa> Intersect(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  return Combine(a, b, Combination::kBoth, limits);
}

absl::StatusOr<Dfa> Union(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  return Combine(a, b, Combination::kEither, limits);
}

absl::StatusOr<Dfa> Subtract(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  return Combine(a, b, Combination::kFirstOnly, limits);
}

Dfa Complement(const Dfa& a) {
  const State rest = a.num_states();  // reads what `a` does not
  EdgeTable every;
  every.AddState();
  AddEveryCharacterTo(rest, every);
  EdgeTable edges;
  std::vector<bool> accepts(static_cast<size_t>(rest) + 1, true);
  for (State state = 0; state < rest; ++state) {
    accepts[static_cast<size_t>(state)] = !a.Accepts(state);
    edges.AddState();
    ForEachCommonRange(a.Edges(state), every[0], [&](char32_t first, char32_t last, StatePair to) {
      edges.Add({first, last, to.first == Dfa::kDead ? rest : to.first});
    });
  }
  edges.AddState();
  AddEveryCharacterTo(rest, edges);
  return Dfa(a.start() == Dfa::kDead ? rest : a.start(), std::move(edges), std::move(accepts));
}

absl::StatusOr<Dfa> Concatenate(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  if (IsEmpty(a) || IsEmpty(b)) return Dfa();
  Nfa nfa;
  const Nfa::State accept = nfa.AddState();
  const Nfa::State second = nfa.AddDfa(b, accept);
  return nfa.Determinize(nfa.AddDfa(a, second), accept, limits);
}

absl::StatusOr<Dfa> Repeat(const Dfa& a, const RegularLimits& limits) {
  if (IsEmpty(a)) return Literal("");
  Nfa nfa;
  const Nfa::State accept = nfa.AddState();
  nfa.AddJump(accept, nfa.AddDfa(a, accept));
  return nfa.Determinize(accept, accept, limits);
}

bool IsEmpty(const Dfa& dfa) { return dfa.start() == Dfa::kDead; }

bool IsAnyText(const Dfa& dfa) { return IsSubset(AnyText(), dfa); }

bool Contains(const Dfa& dfa, absl::string_view text) {
  State state = dfa.start();
  for (size_t i = 0; i < text.size() && state != Dfa::kDead;) {
    const Utf8Step step = ReadUtf8(text, i);
    if (!step.valid) return false;
    state = dfa.Next(state, step.code_point);
    i += step.length;
  }
  return AcceptsAt(dfa, state);
}

bool IsSubset(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  return NoneReached(a, b, Combination::kFirstOnly, limits);
}

bool AreDisjoint(const Dfa& a, const Dfa& b, const RegularLimits& limits) {
  return NoneReached(a, b, Combination::kBoth, limits);
}

int64_t ShortestLength(const Dfa& dfa) {
  if (IsEmpty(dfa)) return -1;
  std::vector<State> layer = {dfa.start()};
  std::vector<bool> seen(static_cast<size_t>(dfa.num_states()), false);
  for (int64_t length = 0;; ++length) {
    std::vector<State> next;
    for (const State state : layer) {
      if (dfa.Accepts(state)) return length;
      for (const Dfa::Edge& edge : dfa.Edges(state)) {
        if (seen[static_cast<size_t>(edge.target)]) continue;
        seen[static_cast<size_t>(edge.target)] = true;
        next.push_back(edge.target);
      }
    }
    layer = std::move(next);
  }
}

int64_t LongestLength(const Dfa& dfa) {
  if (IsEmpty(dfa)) return -1;
  // States in the order in which nothing leads to them any more; a cycle leaves some over.
  std::vector<int> into(static_cast<size_t>(dfa.num_states()), 0);
  for (State state = 0; state < dfa.num_states(); ++state) {
    for (const Dfa::Edge& edge : dfa.Edges(state)) ++into[static_cast<size_t>(edge.target)];
  }
  if (into[static_cast<size_t>(dfa.start())] > 0) return -1;
  std::vector<int64_t> longest(into.size(), 0);
  std::vector<State> order = {dfa.start()};
  for (size_t i = 0; i < order.size(); ++i) {
    for (const Dfa::Edge& edge : dfa.Edges(order[i])) {
      const auto target = static_cast<size_t>(edge.target);
      longest[target] = std::max(longest[target], longest[static_cast<size_t>(order[i])] + 1);
      if (--into[target] == 0) order.push_back(edge.target);
    }
  }
  if (order.size() < into.size()) return -1;
  return *std::max_element(longest.begin(), longest.end());
}

}  // namespace sdar::grammar
