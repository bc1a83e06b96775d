// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/scan_dfa.h"

#include <climits>

#include "gtest/gtest.h"

#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

TEST(ScanDfaTest, LeastCountsBytesAsTheyAreWritten) {
  SDAR_ASSERT_OK_AND_ASSIGN(Dfa dfa, Literal("\"\u20ac\n"));
  const ScanDfa json(dfa, Writing::kJsonString);
  EXPECT_EQ(json.Least(json.start()), 2 + 3 + 2);
  const ScanDfa plain(dfa, Writing::kPlain);
  EXPECT_EQ(plain.Least(plain.start()), 1 + 3 + 1);
}

TEST(ScanDfaTest, LengthsAnswerAsTheirAutomatonDoes) {
  for (const Lengths lengths : {Lengths{0, 3}, Lengths{2, 5}, Lengths{3, -1}, Lengths{0, 0}}) {
    SDAR_ASSERT_OK_AND_ASSIGN(Dfa dfa, LengthBetween(lengths.min, lengths.max));
    const ScanDfa built(dfa, Writing::kJsonString);
    const ScanDfa counted(lengths, Writing::kJsonString);
    ScanDfa::State a = built.start();
    ScanDfa::State b = counted.start();
    for (int i = 0; i < 8 && a != Dfa::kDead; ++i) {
      EXPECT_EQ(built.Accepts(a), counted.Accepts(b));
      EXPECT_EQ(built.Least(a), counted.Least(b));
      EXPECT_EQ(built.Free(a), counted.Free(b));
      a = built.Next(a, U'\u20ac');
      b = counted.Next(b, U'\u20ac');
      EXPECT_EQ(a == Dfa::kDead, b == Dfa::kDead);
    }
  }
}

TEST(ScanDfaTest, WordsAreCountedUntilTheyAreMany) {
  SDAR_ASSERT_OK_AND_ASSIGN(Dfa few, AnyOf({"a", "b", "bc"}));
  const ScanDfa scan(few, Writing::kJsonString);
  EXPECT_EQ(scan.Words(scan.start()), 3);
  const ScanDfa any(AnyText(), Writing::kJsonString);
  EXPECT_EQ(any.Words(any.start()), ScanDfa::kManyWords);
  EXPECT_EQ(any.Free(any.start()), INT_MAX);
}

TEST(ScanDfaTest, CheapestWordsComeByTheirCost) {
  SDAR_ASSERT_OK_AND_ASSIGN(Dfa dfa, AnyOf({"long", "\n", "ab", "x"}));
  const ScanDfa scan(dfa, Writing::kJsonString);
  std::vector<int64_t> costs;
  for (const CheapWord& word : scan.CheapestWords(scan.start(), kNoCharacter, 9)) {
    costs.push_back(word.cost);
  }
  EXPECT_EQ(costs, (std::vector<int64_t>{1, 2, 2, 4}));
}

TEST(ScanDfaTest, OfManyWordsTheCheapestComeByTheirText) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, CompileRegex("[a-z]{1,2}", RegexUse::kWholeText));
  const ScanDfa scan(dfa, Writing::kJsonString);
  std::vector<std::u32string> texts;
  for (const CheapWord& word : scan.CheapestWords(scan.start(), kNoCharacter, 28)) {
    texts.push_back(word.text);
  }
  ASSERT_EQ(texts.size(), 28U);
  EXPECT_EQ(texts.front(), U"a");
  EXPECT_EQ(texts[25], U"z");
  EXPECT_EQ(texts[26], U"aa");
  EXPECT_EQ(texts.back(), U"ab");
}

}  // namespace
}  // namespace sdar::grammar
