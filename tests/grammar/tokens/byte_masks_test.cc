// SPDX-License-Identifier: Apache-2.0
// Masks against walking every token.
#include "runtime/grammar/tokens/byte_masks.h"

#include <random>

#include "gtest/gtest.h"

#include "tests/grammar/tokens/small_vocabulary.h"

namespace sdar::grammar {
namespace {

// Checks the masks along random texts of an automaton.
void CheckMasks(Automaton automaton, const Vocabulary& vocabulary, uint32_t seed) {
  ByteMasks masks(vocabulary, automaton);
  std::mt19937 random(seed);
  for (int text = 0; text < 20; ++text) {
    StateId state = automaton.start();
    for (int step = 0; step < 30; ++step) {
      const TokenBits bits = masks.Of(state);
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < vocabulary.size(); ++id) {
        StateId next = vocabulary.Bytes(id).empty() ? kDeadState : state;
        for (char c : vocabulary.Bytes(id)) next = automaton.Next(next, static_cast<uint8_t>(c));
        ASSERT_EQ(HasBit(bits, id), next != kDeadState) << id << " " << vocabulary.Bytes(id);
        if (next != kDeadState) allowed.push_back(id);
      }
      if (allowed.empty()) break;
      for (char c : vocabulary.Bytes(allowed[random() % allowed.size()])) {
        state = automaton.Next(state, static_cast<uint8_t>(c));
      }
    }
  }
}

TEST(ByteMasksTest, HaveTheTokensThatTextsCanGoOnWith) {
  const Vocabulary vocabulary(SmallTokens());
  for (const char* pattern : {"(ab|c)*", "[0-9]{2,5}(\\.[0-9]+)?", "\"[^\"\\\\]{0,4}\"", ".*",
                              "a(b(c(a|12))?)*", "\\u00e9+\\u20ac?"}) {
    CheckMasks(Automaton(*CompileRegex(pattern, RegexUse::kWholeText)), vocabulary, 1);
  }
}

}  // namespace
}  // namespace sdar::grammar
