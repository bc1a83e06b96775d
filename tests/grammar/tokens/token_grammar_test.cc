// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/token_grammar.h"

#include <functional>
#include <random>

#include "gtest/gtest.h"

#include "tests/grammar/tokens/small_vocabulary.h"

namespace sdar::grammar {
namespace {

constexpr TokenId kA = 'a', kB = 'b', kX = 'x', kNewline = '\n';

std::vector<std::shared_ptr<TokenGrammar>> AllKinds() {
  std::vector<std::shared_ptr<TokenGrammar>> grammars;
  grammars.push_back(GrammarOf(EnvelopeOf(RegexTexts("(ab|c)+12?"))));
  grammars.push_back(GrammarOf(EnvelopeOfCalls("x(ab)*")));
  Envelope one = EnvelopeOfCalls("x+");
  one.many_calls = false;
  grammars.push_back(GrammarOf(std::move(one)));
  Envelope either = EnvelopeOfCalls("x");
  either.text = RegexTexts("abcabcabc");
  grammars.push_back(GrammarOf(std::move(either)));
  Envelope mixed = EnvelopeOfCalls("x{3}");
  mixed.text = RegexTexts("[ab ]*");
  mixed.text_and_calls = true;
  mixed.text_marks = {kThinkBegin, kThinkEnd};
  grammars.push_back(GrammarOf(std::move(mixed)));
  Envelope thinking = EnvelopeOf(RegexTexts("c+"));
  thinking.thinking_end = kThinkEnd;
  grammars.push_back(GrammarOf(std::move(thinking)));
  Envelope thoughtful = EnvelopeOfCalls("x");
  thoughtful.thinking_end = kThinkEnd;
  grammars.push_back(GrammarOf(std::move(thoughtful)));
  return grammars;
}

TEST(TokenGrammarTest, AMaskHasTheTokensThatLeadOn) {
  std::mt19937 random(1);
  for (const auto& grammar : AllKinds()) {
    for (int text = 0; text < 10; ++text) {
      TokenState state = grammar->start();
      for (int step = 0; step < 20 && state != kDoneTokenState; ++step) {
        const auto mask = grammar->Mask(state);
        std::vector<TokenId> allowed;
        for (size_t id = 0; id < SmallTokens().size(); ++id) {
          const auto token = static_cast<TokenId>(id);
          const bool leads = grammar->Next(state, token) != kDeadTokenState;
          ASSERT_EQ(mask->Has(token), leads) << token;
          if (leads) allowed.push_back(token);
        }
        ASSERT_FALSE(allowed.empty());
        EXPECT_EQ(mask->Has(kTokenEnd), grammar->MayEnd(state));
        state = grammar->Next(state, allowed[random() % allowed.size()]);
      }
    }
  }
}

TEST(TokenGrammarTest, EveryStateHasAShortestEndThatEachOfItsTokensShortens) {
  std::mt19937 random(2);
  for (const auto& grammar : AllKinds()) {
    for (int text = 0; text < 20; ++text) {
      TokenState state = grammar->start();
      for (int step = 0; step < 12; ++step) {
        const std::vector<TokenId> end = grammar->ShortestEnd(state);
        ASSERT_EQ(static_cast<int64_t>(end.size()), grammar->LeastTokens(state));
        TokenState on = state;
        for (size_t i = 0; i < end.size(); ++i) {
          EXPECT_TRUE(grammar->EndsBefore(on, grammar->LeastTokens(on) + 1));
          EXPECT_FALSE(grammar->EndsBefore(on, grammar->LeastTokens(on)));
          const int64_t before = grammar->LeastTokens(on);
          on = grammar->Next(on, end[i]);
          ASSERT_NE(on, kDeadTokenState);
          ASSERT_LT(grammar->LeastTokens(on), before);
        }
        EXPECT_TRUE(grammar->MayEnd(on));
        EXPECT_EQ(grammar->Next(on, kOtherEnd), kDoneTokenState);
        const auto mask = grammar->Mask(state);
        std::vector<TokenId> allowed;
        for (TokenId id = 0; id < static_cast<TokenId>(SmallTokens().size()); ++id) {
          if (mask->Has(id) && id != kTokenEnd && id != kOtherEnd) allowed.push_back(id);
        }
        if (allowed.empty()) break;
        state = grammar->Next(state, allowed[random() % allowed.size()]);
      }
    }
  }
}

TEST(TokenGrammarTest, NoFewerTokensOfTheShortestTextLeadToTheEnd) {
  const auto grammar = GrammarOf(EnvelopeOf(RegexTexts("abcab12")));
  EXPECT_EQ(grammar->LeastTokens(grammar->start()), 3);  // abc, ab, 12
}

TEST(TokenGrammarTest, AfterTheEndEverythingIsAllowed) {
  const auto grammar = GrammarOf(EnvelopeOf(RegexTexts("c")));
  const TokenState done = Follow(*grammar, {'c', kTokenEnd});
  EXPECT_EQ(done, kDoneTokenState);
  EXPECT_EQ(Follow(*grammar, {'c', kTokenEnd, kX, kTokenEnd}), kDoneTokenState);
  EXPECT_TRUE(grammar->AllowsAll(done));
  EXPECT_TRUE(grammar->Mask(done)->Has(kThinkBegin));
}

TEST(TokenGrammarTest, ATextHasNoSpecialIds) {
  const auto grammar = GrammarOf(EnvelopeOf(RegexTexts("[\\s\\S]*")));
  for (const TokenId mark : {kCallBegin, kCallEnd, kThinkBegin, kThinkEnd}) {
    EXPECT_EQ(Follow(*grammar, {kA, mark}), kDeadTokenState);
  }
}

TEST(TokenGrammarTest, CallsStandBetweenTheirMarksWithLittleSpaceAround) {
  const auto grammar = GrammarOf(EnvelopeOfCalls("x"));
  EXPECT_FALSE(grammar->MayEnd(grammar->start()));
  EXPECT_EQ(Follow(*grammar, {kX}), kDeadTokenState);
  const TokenState called = Follow(*grammar, {kCallBegin, kX, kCallEnd});
  EXPECT_TRUE(grammar->MayEnd(called));
  EXPECT_TRUE(grammar->MayEnd(
      Follow(*grammar, {kCallBegin, kX, kCallEnd, kNewline, kNewline, kCallBegin, kX, kCallEnd})));
  EXPECT_EQ(Follow(*grammar, {kCallBegin, kX, kCallEnd, kNewline, kNewline, kNewline}),
            kDeadTokenState);
  EXPECT_EQ(Follow(*grammar, {kCallBegin, kCallEnd}), kDeadTokenState);
}

TEST(TokenGrammarTest, OneCallIsOne) {
  Envelope envelope = EnvelopeOfCalls("x");
  envelope.many_calls = false;
  const auto grammar = GrammarOf(std::move(envelope));
  const TokenState called = Follow(*grammar, {kCallBegin, kX, kCallEnd});
  EXPECT_EQ(grammar->Next(called, kCallBegin), kDeadTokenState);
  EXPECT_TRUE(grammar->IsForced(called, kTokenEnd));
}

TEST(TokenGrammarTest, AnAnswerIsATextOrCalls) {
  Envelope envelope = EnvelopeOfCalls("x");
  envelope.text = RegexTexts("ab");
  const auto grammar = GrammarOf(std::move(envelope));
  EXPECT_TRUE(grammar->MayEnd(Follow(*grammar, {kA, kB})));
  EXPECT_TRUE(grammar->MayEnd(Follow(*grammar, {kCallBegin, kX, kCallEnd})));
  EXPECT_EQ(Follow(*grammar, {kA, kCallBegin}), kDeadTokenState);
  EXPECT_EQ(Follow(*grammar, {kCallBegin, kX, kCallEnd, kA}), kDeadTokenState);
}

TEST(TokenGrammarTest, TextMayStandAroundCallsWhereBothAreMixed) {
  Envelope envelope = EnvelopeOfCalls("x");
  envelope.text = RegexTexts("[ab]*");
  envelope.text_and_calls = true;
  envelope.text_marks = {kThinkBegin};
  const auto grammar = GrammarOf(std::move(envelope));
  EXPECT_TRUE(grammar->MayEnd(grammar->start()));
  EXPECT_TRUE(grammar->MayEnd(
      Follow(*grammar, {kThinkBegin, kA, kCallBegin, kX, kCallEnd, kB, kCallBegin, kX, kCallEnd})));
  EXPECT_EQ(Follow(*grammar, {kA, kCallBegin, kTokenEnd}), kDeadTokenState);
}

TEST(TokenGrammarTest, ThinkingIsFreeUntilItsEndAndMayBeFollowedBySpace) {
  Envelope envelope = EnvelopeOf(RegexTexts("c"));
  envelope.thinking_end = kThinkEnd;
  const auto grammar = GrammarOf(std::move(envelope));
  EXPECT_EQ(grammar->LeastTokens(grammar->start()), 2);
  EXPECT_TRUE(grammar->MayEnd(
      Follow(*grammar, {kThinkBegin, kX, kCallBegin, kThinkEnd, 256 + 12 /* two lines */, 'c'})));
  EXPECT_EQ(Follow(*grammar, {kX, kTokenEnd}), kDeadTokenState);
  EXPECT_EQ(Follow(*grammar, {kThinkEnd, kX}), kDeadTokenState);
}

TEST(TokenGrammarTest, ForcedAreBytesThatNoAnswerCanAvoid) {
  const auto grammar = GrammarOf(EnvelopeOf(RegexTexts("abc(x|ab)c")));
  const TokenState start = grammar->start();
  EXPECT_TRUE(grammar->IsForced(start, 257));  // abc
  EXPECT_TRUE(grammar->IsForced(start, kA));
  EXPECT_FALSE(grammar->IsForced(start, kB));
  EXPECT_FALSE(grammar->IsForced(Follow(*grammar, {257}), kX));
  EXPECT_TRUE(grammar->IsForced(Follow(*grammar, {257, kX}), 'c'));
  EXPECT_TRUE(grammar->IsForced(Follow(*grammar, {257, kX, 'c'}), kTokenEnd));
  EXPECT_FALSE(grammar->IsForced(Follow(*grammar, {257, kX}), kTokenEnd));
}

TEST(TokenGrammarTest, OnlyWhatAcceptsEverythingAllowsAll) {
  EXPECT_FALSE(GrammarOf(EnvelopeOf(RegexTexts("x*")))->AllowsAll(TokenState(2)));
  Envelope envelope = EnvelopeOf(RegexTexts("[\\s\\S]*"));
  envelope.any_text = true;
  const auto grammar = GrammarOf(std::move(envelope));
  EXPECT_TRUE(grammar->AllowsAll(grammar->start()));
}

TEST(TokenGrammarTest, EqualMasksHaveEqualIds) {
  const auto one = GrammarOf(EnvelopeOf(RegexTexts("(ab|c)*")));
  const auto other = GrammarOf(EnvelopeOf(RegexTexts("(c|ab)*")));
  EXPECT_EQ(one->Mask(one->start())->id, other->Mask(other->start())->id);
  EXPECT_NE(one->Mask(one->start())->id, one->Mask(Follow(*one, {kA}))->id);
}

}  // namespace
}  // namespace sdar::grammar
