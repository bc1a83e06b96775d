// SPDX-License-Identifier: Apache-2.0
// Tests of automata and of what can be done with them.
#include "runtime/grammar/regular/dfa_operations.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regex.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

using ::testing::HasSubstr;

Dfa Compiled(const std::string& pattern) {
  const auto dfa = CompileRegex(pattern, RegexUse::kWholeText);
  EXPECT_TRUE(dfa.ok()) << pattern << ": " << dfa.status();
  return dfa.value_or(Dfa());
}

// Every text over a, b and c of at most four characters.
std::vector<std::string> ShortTexts() {
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts[i].size() < 4; ++i) {
    for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
  }
  return texts;
}

TEST(Dfa, IsMinimalHoweverItIsWritten) {
  EXPECT_EQ(Compiled("(a|b)*abb").num_states(), 4);
  EXPECT_EQ(Compiled("(a*b*)*abb").num_states(), 4);
  EXPECT_EQ(Compiled("a|b|c|[d-z]").num_states(), 2);
  EXPECT_EQ(Compiled("ab|cb|db").num_states(), 3);
}

EdgeTable TableOf(const std::vector<std::vector<DfaEdge>>& edges) {
  EdgeTable table;
  for (const auto& of_state : edges) {
    table.AddState();
    for (const DfaEdge& edge : of_state) table.Add(edge);
  }
  return table;
}

TEST(Dfa, HasNoStateThatLeadsNowhere) {
  const Dfa dfa(0, TableOf({{{'a', 'a', 1}, {'b', 'b', 2}}, {}, {{'c', 'c', 2}}}),
                {false, true, false});
  EXPECT_EQ(dfa.num_states(), 2);
  EXPECT_EQ(dfa.Next(dfa.start(), 'b'), Dfa::kDead);
  EXPECT_TRUE(IsEmpty(Dfa(0, TableOf({{{'a', 'a', 0}}}), {false})));
}

TEST(DfaOperations, AgreeWithSets) {
  const std::vector<std::string> patterns = {"a*b",     "(ab|c)*",  "[ab]{2,3}", "",
                                             "a|b|abc", ".*c.*",    "(a|bc)+",   "[abc]*",
                                             "c+",      "(ab?c?)*", "[^a]*"};
  const std::vector<std::string> texts = ShortTexts();
  for (const std::string& first : patterns) {
    for (const std::string& second : patterns) {
      const Dfa a = Compiled(first);
      const Dfa b = Compiled(second);
      SDAR_ASSERT_OK_AND_ASSIGN(const Dfa both, Intersect(a, b));
      SDAR_ASSERT_OK_AND_ASSIGN(const Dfa either, Union(a, b));
      SDAR_ASSERT_OK_AND_ASSIGN(const Dfa only_a, Subtract(a, b));
      SDAR_ASSERT_OK_AND_ASSIGN(const Dfa joined, Concatenate(a, b));
      const Dfa joined_directly = Compiled("(?:" + first + ")(?:" + second + ")");
      EXPECT_TRUE(IsSubset(joined, joined_directly) && IsSubset(joined_directly, joined));
      for (const std::string& text : texts) {
        const bool in_a = Contains(a, text);
        const bool in_b = Contains(b, text);
        EXPECT_EQ(Contains(both, text), in_a && in_b);
        EXPECT_EQ(Contains(either, text), in_a || in_b);
        EXPECT_EQ(Contains(only_a, text), in_a && !in_b);
        EXPECT_EQ(Contains(Complement(a), text), !in_a) << first << " " << text;
      }
      EXPECT_EQ(IsSubset(a, b), IsEmpty(only_a));
      EXPECT_EQ(AreDisjoint(a, b), IsEmpty(both));
    }
  }
}

TEST(DfaOperations, RepeatTakesAnyNumberOfTexts) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa repeated, Repeat(Compiled("ab|c")));
  const Dfa wanted = Compiled("(ab|c)*");
  EXPECT_TRUE(IsSubset(repeated, wanted) && IsSubset(wanted, repeated));
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa nothing, Repeat(Dfa()));
  EXPECT_TRUE(Contains(nothing, ""));
  EXPECT_FALSE(Contains(nothing, "a"));
}

TEST(DfaOperations, ComplementKnowsEveryScalarValue) {
  EXPECT_TRUE(IsAnyText(Complement(Dfa())));
  EXPECT_TRUE(IsEmpty(Complement(AnyText())));
  EXPECT_TRUE(Contains(Complement(Compiled("a")), "\U0001F600"));
  const Dfa twice = Complement(Complement(Compiled("[a-z]{3}")));
  EXPECT_TRUE(IsSubset(twice, Compiled("[a-z]{3}")));
  EXPECT_EQ(twice.num_states(), 4);
}

TEST(DfaOperations, TextsOfAListAreTheLanguage) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, AnyOf({"yes", "no", "\u00e9", "", "nor"}));
  for (const char* text : {"yes", "no", "\u00e9", "", "nor"}) EXPECT_TRUE(Contains(dfa, text));
  for (const char* text : {"ye", "n", "noo", "e", "yesno"}) EXPECT_FALSE(Contains(dfa, text));
  EXPECT_TRUE(IsEmpty(*AnyOf({})));
  EXPECT_THAT(AnyOf({"\xff"}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
}

TEST(DfaOperations, LengthsCountCharacters) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, LengthBetween(2, 3));
  EXPECT_FALSE(Contains(dfa, "\u00e9"));
  EXPECT_TRUE(Contains(dfa, "\u00e9\U0001F600"));
  EXPECT_TRUE(Contains(dfa, "abc"));
  EXPECT_FALSE(Contains(dfa, "abcd"));
  EXPECT_TRUE(Contains(*LengthBetween(1, -1), std::string(1000, 'x')));
  EXPECT_TRUE(IsEmpty(*LengthBetween(3, 2)));
  EXPECT_THAT(LengthBetween(0, 1'000'000),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("states")));
}

TEST(DfaOperations, ShortestAndLongestTexts) {
  EXPECT_EQ(ShortestLength(Compiled("a{3,5}|b{4}")), 3);
  EXPECT_EQ(LongestLength(Compiled("a{3,5}|b{4}")), 5);
  EXPECT_EQ(LongestLength(Compiled("ab*")), -1);
  EXPECT_EQ(LongestLength(Compiled("")), 0);
  EXPECT_EQ(ShortestLength(Dfa()), -1);
}

TEST(DfaOperations, WhatIsTooLargeIsRefused) {
  RegularLimits limits;
  limits.max_states = 20;
  const Dfa a = Compiled("(a{7})*");
  const Dfa b = Compiled("(a{5})*");
  EXPECT_THAT(Intersect(a, b, limits),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("states")));
}

}  // namespace
}  // namespace sdar::grammar
