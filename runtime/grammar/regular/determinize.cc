// SPDX-License-Identifier: Apache-2.0
// Nfa::Determinize: sets of states become states.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/alphabet.h"
#include "runtime/grammar/regular/nfa.h"
#include "runtime/grammar/regular/unicode_sets.h"

namespace sdar::grammar {
namespace {

// What assertions see of the character before or after them.
enum class Neighbour : uint8_t { kNone, kNewline, kWord, kUnicodeWord, kOther };
constexpr size_t kNumNeighbours = 5;

bool Holds(Assertion assertion, Neighbour before, Neighbour after) {
  const auto is_word = [](Neighbour n, bool unicode) {
    return n == Neighbour::kWord || (unicode && n == Neighbour::kUnicodeWord);
  };
  const bool ascii = is_word(before, false) != is_word(after, false);
  const bool unicode = is_word(before, true) != is_word(after, true);
  switch (assertion) {
    case Assertion::kNone:
      return true;
    case Assertion::kTextStart:
      return before == Neighbour::kNone;
    case Assertion::kTextEnd:
      return after == Neighbour::kNone;
    case Assertion::kLineStart:
      return before == Neighbour::kNone || before == Neighbour::kNewline;
    case Assertion::kLineEnd:
      return after == Neighbour::kNone || after == Neighbour::kNewline;
    case Assertion::kWordBoundary:
      return ascii && unicode;
    case Assertion::kNoWordBoundary:  // in an empty text readings differ
      return !ascii && !unicode && (before != Neighbour::kNone || after != Neighbour::kNone);
  }
  return false;
}

// One use of Nfa::Determinize.
class SubsetConstruction {
 public:
  SubsetConstruction(const Nfa& nfa, Nfa::State accept, const RegularLimits& limits)
      : nfa_(nfa), accept_(accept), limits_(limits), visited_(Size(nfa.num_states()), 0) {}

  absl::StatusOr<Dfa> Run(Nfa::State start) {
    Prepare();
    std::vector<Nfa::State> first = {start};
    StateOf(first, Neighbour::kNone);
    for (size_t state = 0; state < sources_.size(); ++state) {
      SDAR_RETURN_IF_ERROR(Expand(SourceOf(*sources_[state])));
    }
    return Dfa(0, std::move(edges_), std::move(accepts_));
  }

 private:
  // Where the automaton may be before it knows the next character, and what was before.
  struct Source {
    std::vector<Nfa::State> states;
    Neighbour before = Neighbour::kNone;
  };

  static size_t Size(int value) { return static_cast<size_t>(value); }

  // The alphabet, and what assertions see of each of its kinds.
  void Prepare() {
    std::vector<CodePointSet> sets(nfa_.sets().begin(), nfa_.sets().end());
    bool lines = false;
    bool words = false;
    for (Nfa::State state = 0; state < nfa_.num_states(); ++state) {
      for (const Nfa::Jump& jump : nfa_.Jumps(state)) {
        lines |= jump.assertion == Assertion::kLineStart || jump.assertion == Assertion::kLineEnd;
        words |= jump.assertion == Assertion::kWordBoundary ||
                 jump.assertion == Assertion::kNoWordBoundary;
        asserts_ |= jump.assertion != Assertion::kNone;
      }
    }
    const CodePointSet newline = CodePointSet::Of('\n');
    if (lines) sets.push_back(newline);
    if (words) sets.insert(sets.end(), {AsciiWord(), UnicodeWord()});
    alphabet_ = Alphabet::OfSets(sets);
    for (const CodePointSet& set : nfa_.sets()) kinds_of_set_.push_back(alphabet_.KindsIn(set));
    neighbours_.assign(Size(alphabet_.num_kinds()), Neighbour::kOther);
    const auto mark = [&](const CodePointSet& set, Neighbour neighbour) {
      for (const int kind : alphabet_.KindsIn(set)) neighbours_[Size(kind)] = neighbour;
    };
    if (words) mark(UnicodeWord(), Neighbour::kUnicodeWord);
    if (words) mark(AsciiWord(), Neighbour::kWord);
    if (lines) mark(newline, Neighbour::kNewline);
    targets_.resize(Size(alphabet_.num_kinds()));
  }

  // A source as the bytes by which it is found: most are known already.
  static void AppendState(Nfa::State state, std::string& key) {
    char bytes[sizeof state];
    std::memcpy(bytes, &state, sizeof state);
    key.append(bytes, sizeof state);
  }
  static Source SourceOf(const std::string& key) {
    Source source;
    source.states.resize(key.size() / sizeof(Nfa::State));
    std::memcpy(source.states.data(), key.data(), source.states.size() * sizeof(Nfa::State));
    source.before = static_cast<Neighbour>(key.back());
    return source;
  }

  // The number of a source, which may be new. `states` come in any order, some more than once.
  Dfa::State StateOf(std::vector<Nfa::State>& states, Neighbour before) {
    std::sort(states.begin(), states.end());
    states.erase(std::unique(states.begin(), states.end()), states.end());
    // What accepts and then reads anything for ever accepts whatever the others do.
    const bool is_final =
        accept_is_final_ && std::binary_search(states.begin(), states.end(), accept_);
    if (is_final) states = {accept_};
    key_.clear();
    for (const Nfa::State state : states) AppendState(state, key_);
    key_ += static_cast<char>(asserts_ && !is_final ? before : Neighbour::kOther);
    const auto [found, fresh] =
        numbers_.try_emplace(key_, static_cast<Dfa::State>(sources_.size()));
    if (fresh) sources_.push_back(&found->first);
    return found->second;
  }

  // What `source` reaches without reading when `after` follows; marks it in visited_. It stays
  // until the next call.
  const std::vector<Nfa::State>& Closure(const Source& source, Neighbour after) {
    ++round_;
    std::vector<Nfa::State>& reached = closure_;
    reached.clear();
    const auto reach = [&](Nfa::State state) {
      if (std::exchange(visited_[Size(state)], round_) != round_) reached.push_back(state);
    };
    for (const Nfa::State state : source.states) reach(state);
    for (size_t i = 0; i < reached.size(); ++i) {
      const absl::Span<const Nfa::Jump> jumps = nfa_.Jumps(reached[i]);
      steps_ += 1 + static_cast<int64_t>(jumps.size());
      for (const Nfa::Jump& jump : jumps) {
        if (Holds(jump.assertion, source.before, after)) reach(jump.target);
      }
    }
    return reached;
  }

  // Collects where the kinds that look like `after` lead from a closure; kNone: all kinds.
  void Step(const std::vector<Nfa::State>& closure, Neighbour after) {
    for (const Nfa::State state : closure) {
      for (const Nfa::Step& step : nfa_.Steps(state)) {
        const std::vector<int>& kinds = kinds_of_set_[Size(step.set)];
        steps_ += 1 + static_cast<int64_t>(kinds.size());
        for (const int kind : kinds) {
          if (after == Neighbour::kNone || neighbours_[Size(kind)] == after) {
            targets_[Size(kind)].push_back(step.target);
          }
        }
      }
    }
  }

  absl::Status Expand(const Source& source) {
    if (!asserts_) {
      const std::vector<Nfa::State>& closure = Closure(source, Neighbour::kOther);
      accepts_.push_back(visited_[Size(accept_)] == round_);
      Step(closure, Neighbour::kNone);
    } else {
      Closure(source, Neighbour::kNone);
      accepts_.push_back(visited_[Size(accept_)] == round_);
      for (size_t after = 1; after < kNumNeighbours; ++after) {
        Step(Closure(source, static_cast<Neighbour>(after)), static_cast<Neighbour>(after));
      }
    }
    AddEdges();
    if (sources_.size() > Size(limits_.max_states) || steps_ > limits_.max_steps ||
        static_cast<int64_t>(edges_.edges().size()) > limits_.max_edges) {
      return absl::ResourceExhaustedError("the pattern needs too many states");
    }
    return absl::OkStatus();
  }

  void AddEdges() {
    std::vector<Dfa::State> target_of(targets_.size(), Dfa::kDead);
    for (size_t kind = 0; kind < targets_.size(); ++kind) {
      if (targets_[kind].empty()) continue;
      steps_ += static_cast<int64_t>(targets_[kind].size());
      target_of[kind] = StateOf(targets_[kind], neighbours_[kind]);
      targets_[kind].clear();
    }
    edges_.AddState();
    for (const Alphabet::Piece& piece : alphabet_.pieces()) {
      const Dfa::State target = target_of[Size(piece.kind)];
      if (target != Dfa::kDead) edges_.AddJoined({piece.first, piece.last, target});
    }
    steps_ += static_cast<int64_t>(alphabet_.pieces().size());
  }

  // Whether the accepting state reads every text and accepts it.
  bool AcceptIsFinal() const {
    for (const Nfa::Step& step : nfa_.Steps(accept_)) {
      if (step.target == accept_ && nfa_.sets()[Size(step.set)] == CodePointSet::All()) return true;
    }
    return false;
  }

  const Nfa& nfa_;
  const Nfa::State accept_;
  const RegularLimits& limits_;
  const bool accept_is_final_ = AcceptIsFinal();
  Alphabet alphabet_;
  std::vector<std::vector<int>> kinds_of_set_;
  std::vector<Neighbour> neighbours_;             // of kinds
  std::vector<std::vector<Nfa::State>> targets_;  // of kinds, of the source in hand
  std::vector<int> visited_;                      // the last round that reached a state
  std::vector<Nfa::State> closure_;
  int round_ = 0;
  bool asserts_ = false;
  int64_t steps_ = 0;
  absl::node_hash_map<std::string, Dfa::State> numbers_;
  std::vector<const std::string*> sources_;  // keys of numbers_
  std::string key_;
  EdgeTable edges_;
  std::vector<bool> accepts_;
};

}  // namespace

absl::StatusOr<Dfa> Nfa::Determinize(State start, State accept, const RegularLimits& limits) const {
  if (num_states() > limits.max_nfa_states) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the pattern needs more than ", limits.max_nfa_states, " states"));
  }
  return SubsetConstruction(*this, accept, limits).Run(start);
}

}  // namespace sdar::grammar
