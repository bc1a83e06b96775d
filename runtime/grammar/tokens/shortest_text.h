// SPDX-License-Identifier: Apache-2.0
// The shortest way to the end of an automaton's text, in bytes and in tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "runtime/grammar/automaton/automaton.h"
#include "runtime/grammar/tokens/vocabulary.h"

namespace sdar::grammar {

// From every state one byte is the way on, of those that bring the end nearer: the quote, else the
// smallest; white space comes last where a tab may stand. So what is left of a way is the way of
// the state that was reached. Not thread-safe.
class ShortestText {
 public:
  // Requires: both outlive this.
  ShortestText(const Vocabulary& vocabulary, Automaton& automaton)
      : vocabulary_(vocabulary), automaton_(automaton) {}

  // Tokens that spell the way on from a state to an accepting one, as few as can be. Requires: a
  // state that is neither dead, open nor floating.
  std::vector<TokenId> TokensOf(StateId state);
  // Their number.
  int64_t CountOf(StateId state);
  // Whether that is less than `limit`. Cheap where it is far less.
  bool IsBelow(StateId state, int64_t limit);

  // The only byte with which a text that has come to `state` can go on. kChoice: it can go on in
  // more than one way, its end among them. kEnd: it can only end.
  static constexpr int kChoice = -1;
  static constexpr int kEnd = -2;
  int ForcedByte(StateId state);

  size_t MemoryBytes() const {
    return counts_.size() * 24 + steps_.size() * 24 + forced_.size() * 16;
  }

 private:
  struct Step {
    uint8_t byte;
    StateId to;
  };

  Step StepFrom(StateId state);
  std::string TextOf(StateId state);
  // fewest[i]: the least number of tokens for text[i ..]; first[i]: the first of them.
  void Cover(const std::string& text);

  const Vocabulary& vocabulary_;
  Automaton& automaton_;
  absl::flat_hash_map<StateId, Step> steps_;
  absl::flat_hash_map<StateId, int64_t> counts_;
  absl::flat_hash_map<StateId, int> forced_;
  std::vector<int64_t> fewest_;
  std::vector<TokenId> first_;
};

}  // namespace sdar::grammar
