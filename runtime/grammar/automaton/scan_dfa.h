// SPDX-License-Identifier: Apache-2.0
// A Dfa prepared for reading: what the shortest ends cost, which states take any text.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "runtime/grammar/automaton/character.h"
#include "runtime/grammar/regular/dfa.h"

namespace sdar::grammar {

// What no text ends.
inline constexpr int64_t kNever = int64_t{1} << 50;

// A word and what it costs, in bytes as it is written.
struct CheapWord {
  std::u32string text;  // from the state asked
  int64_t cost = 0;
};

// How many characters a text may have.
struct Lengths {
  int64_t min = 0;
  int64_t max = -1;  // -1: without a limit
  friend bool operator==(const Lengths&, const Lengths&) = default;
};

// A value; const use is thread-safe.
class ScanDfa {
 public:
  using State = Dfa::State;
  using Edge = Dfa::Edge;
  using EdgeBuffer = std::array<Edge, 2>;
  ScanDfa(Dfa dfa, Writing writing);
  // Any text of such a length; a state is the characters so far, as far as they matter. Requires:
  // 0 <= min <= max < 2^31, or max -1.
  ScanDfa(Lengths lengths, Writing writing) : writing_(writing), lengths_(lengths) {}

  Writing writing() const { return writing_; }
  State start() const { return lengths_ ? 0 : dfa_.start(); }
  bool Accepts(State state) const {
    return lengths_ ? state >= lengths_->min : dfa_.Accepts(state);
  }
  // Ascending and disjoint; may lie in `buffer`.
  absl::Span<const Edge> Edges(State state, EdgeBuffer& buffer) const;
  State Next(State state, char32_t code_point) const;
  // Bytes of a shortest word from here, without a closing quote.
  int64_t Least(State state) const {
    return lengths_ ? std::max<int64_t>(0, lengths_->min - state)
                    : least_[static_cast<size_t>(state)];
  }
  // The same where a character has begun; kNever where it can become none that leads on.
  int64_t LeastFrom(State state, BegunCharacter begun) const;
  // So many characters may follow, each any that needs no escape; INT_MAX without a limit.
  int Free(State state) const {
    return lengths_ ? FreeOfLengths(state) : free_[static_cast<size_t>(state)];
  }
  // Words from here, but no more than kManyWords.
  int Words(State state) const {
    if (lengths_) return state == lengths_->max ? 1 : kManyWords;
    return words_[static_cast<size_t>(state)];
  }

  // Up to `count` cheapest words from here, cheapest first, where a character may have begun.
  // Looks at kMaxCheapSteps prefixes at most, and then returns what it has.
  std::vector<CheapWord> CheapestWords(State state, BegunCharacter begun, int count) const;

  size_t MemoryBytes() const;

  static constexpr int kManyWords = 1 << 20;
  static constexpr int kMaxCheapSteps = 100'000;

 private:
  // A character that leads on.
  struct WayOn {
    int64_t least;  // of a whole word by this way
    char32_t character;
    int cost;
    State target;
  };
  // Requires: ranges are disjoint.
  std::vector<WayOn> CheapestWaysOn(State state, const CharacterRanges& ranges, int count) const;
  struct Sources;
  void FindLeast(const Sources& sources);
  void FindFree(const Sources& sources);
  void FindWords(const Sources& sources);
  bool TakesAnything(State state) const;
  int FreeOfLengths(State state) const;
  State NextLength(State state) const;

  Dfa dfa_;
  Writing writing_;
  std::optional<Lengths> lengths_;  // in place of dfa_
  std::vector<int64_t> least_;
  std::vector<int> free_;
  std::vector<int> words_;
  std::vector<State> ascii_;  // 128 a state
};

// The bytes that `text` takes in this writing.
int64_t CostOf(Writing writing, absl::Span<const char32_t> text);

}  // namespace sdar::grammar
