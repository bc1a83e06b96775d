// SPDX-License-Identifier: Apache-2.0
// Masks against walking every token.
#include "runtime/grammar/tokens/byte_masks.h"

#include <random>

#include "gtest/gtest.h"

#include "runtime/grammar/schema/compile.h"
#include "tests/grammar/tokens/small_vocabulary.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

StateId After(Automaton& automaton, const Vocabulary& vocabulary, StateId state, TokenId token) {
  for (const char c : vocabulary.Bytes(token)) {
    state = automaton.Next(state, static_cast<uint8_t>(c));
  }
  return state;
}

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
        const StateId next =
            vocabulary.Bytes(id).empty() ? kDeadState : After(automaton, vocabulary, state, id);
        ASSERT_EQ(HasBit(bits, id), next != kDeadState) << id << " " << vocabulary.Bytes(id);
        if (next != kDeadState) allowed.push_back(id);
      }
      if (allowed.empty()) break;
      TokenId token = allowed[random() % allowed.size()];
      // Every other step ends the text sooner, so that walks get far.
      for (size_t i = 0; step % 2 == 0 && i < allowed.size(); ++i) {
        const int64_t distance = automaton.Distance(After(automaton, vocabulary, state, token));
        if (automaton.Distance(After(automaton, vocabulary, state, allowed[i])) < distance) {
          token = allowed[i];
        }
      }
      state = After(automaton, vocabulary, state, token);
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

// Names that came before must not come again, so what a key may become depends on them.
TEST(ByteMasksTest, KnowTheNamesOfAnObjectThatMustDiffer) {
  const Vocabulary vocabulary(SmallTokens());
  for (const char* names : {"{}", R"({"maxLength": 1})", R"({"maxLength": 3})",
                            R"({"pattern": "^[ab]{1,2}$"})", R"({"pattern": "^a"})"}) {
    Json schema = {{"type", "object"}, {"minProperties", 3}};
    schema["additionalProperties"] = {{"type", "null"}};
    SDAR_ASSERT_OK_AND_ASSIGN(schema["propertyNames"], ParseJson(names, "names"));
    SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton, CompileJsonSchema(schema));
    CheckMasks(std::move(automaton), vocabulary, 3);
  }
}

}  // namespace
}  // namespace sdar::grammar
