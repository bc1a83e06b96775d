// SPDX-License-Identifier: Apache-2.0
// Tests of regular expressions: what they match, and what is refused.
#include "runtime/grammar/regular/regex.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/grammar/regular/dfa_operations.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

using ::testing::HasSubstr;

bool Matches(const std::string& pattern, const std::string& text) {
  const auto dfa = CompileRegex(pattern, RegexUse::kWholeText);
  EXPECT_TRUE(dfa.ok()) << pattern << ": " << dfa.status();
  return dfa.ok() && Contains(*dfa, text);
}

bool Finds(const std::string& pattern, const std::string& text) {
  const auto dfa = CompileRegex(pattern, RegexUse::kSearch);
  EXPECT_TRUE(dfa.ok()) << pattern << ": " << dfa.status();
  return dfa.ok() && Contains(*dfa, text);
}

TEST(Regex, ReadsTheCommonSyntax) {
  EXPECT_TRUE(Matches("a(b|c)*d?", "abcbc"));
  EXPECT_TRUE(Matches("(?:x|y){2,3}", "xyx"));
  EXPECT_FALSE(Matches("(?:x|y){2,3}", "xyxy"));
  EXPECT_TRUE(Matches("(?P<year>\\d{4})-(?<month>\\d\\d)", "2024-05"));
  EXPECT_TRUE(Matches("a{,2}", "aa"));
  EXPECT_TRUE(Matches("a{2,}b{x}", "aaab{x}"));
  EXPECT_TRUE(Matches("{a}", "{a}"));
  EXPECT_TRUE(Matches("a+?b*?c??", "aab"));
  EXPECT_TRUE(Matches("a(?#a comment)b", "ab"));
  EXPECT_TRUE(Matches("|a", ""));
  EXPECT_TRUE(Matches("\\/\\-\\.\\@", "/-.@"));
}

TEST(Regex, ReadsEscapes) {
  EXPECT_TRUE(Matches("\\x41\\u0042\\t\\n\\0\\cA\\101", std::string("AB\t\n\0\x01"
                                                                    "A",
                                                                    7)));
  EXPECT_TRUE(Matches("\\u{1F600}\\U0001F600\\ud83d\\ude00", "\U0001F600\U0001F600\U0001F600"));
  EXPECT_TRUE(Matches("[\\ud83d\\ude00-\\ud83d\\ude02]", "\U0001F601"));
  EXPECT_TRUE(Matches("[\\b]", "\b"));
}

TEST(Regex, ReadsClasses) {
  EXPECT_TRUE(Matches("[\\w-.]+", "a-.9"));
  EXPECT_TRUE(Matches("[]a]+", "]a"));
  EXPECT_TRUE(Matches("[^]a]", "b"));
  EXPECT_TRUE(Matches("[^]", "\n"));
  EXPECT_FALSE(Matches("x[]", "x"));
  EXPECT_TRUE(Matches("[a-]", "-"));
  EXPECT_TRUE(Matches("[\\]\\[\\\\^]+", "][\\^"));
  EXPECT_TRUE(Matches("[^\\d\\s]", "a"));
  EXPECT_TRUE(Matches("[[:alpha]", ":"));
}

TEST(Regex, AcceptsOnlyWhatBothReadingsAccept) {
  const std::string arabic_two = "\u0662";
  EXPECT_FALSE(Matches("\\d", arabic_two));
  EXPECT_FALSE(Matches("\\D", arabic_two));
  EXPECT_FALSE(Matches("[^\\D]", arabic_two));
  EXPECT_FALSE(Matches("\\w", "\u00e9"));
  EXPECT_FALSE(Matches("\\W", "\u00e9"));
  EXPECT_FALSE(Matches("\\s", "\ufeff"));
  EXPECT_FALSE(Matches("\\S", "\ufeff"));
  EXPECT_FALSE(Matches(".", "\u2028"));
  EXPECT_FALSE(Matches("a$", "a\n"));
  EXPECT_FALSE(Matches("(?i)k", "\u212a"));
  EXPECT_FALSE(Matches("(?i)[^k]", "\u212a"));
}

TEST(Regex, IgnoresCaseWhereItIsTold) {
  EXPECT_TRUE(Matches("(?i)yes|no", "NO"));
  EXPECT_TRUE(Matches("(?i:[a-z]+)x", "ABx"));
  EXPECT_FALSE(Matches("(?i:[a-z]+)x", "ABX"));
  EXPECT_TRUE(Matches("(?i)\u00c4", "\u00e4"));
  EXPECT_TRUE(Matches("(?i)a(?-i:b)c", "AbC"));
  EXPECT_FALSE(Matches("(?i)a(?-i:b)c", "ABC"));
  EXPECT_TRUE(Matches("(?s)a.b", "a\nb"));
}

TEST(Regex, AnchorsHoldWhereverTheyStand) {
  EXPECT_TRUE(Finds("b", "abc"));
  EXPECT_FALSE(Finds("^b", "abc"));
  EXPECT_TRUE(Finds("^a|c$", "xc"));
  EXPECT_TRUE(Finds("(^[^5]*$)|7", "57"));
  EXPECT_FALSE(Finds("(^[^5]*$)|7", "5"));
  EXPECT_TRUE(Finds("^([^,]+(,|$)){3,}$", "a,b,c"));
  EXPECT_FALSE(Finds("^([^,]+(,|$)){3,}$", "a,b"));
  EXPECT_FALSE(Finds("a^b", "ab"));
  EXPECT_TRUE(Finds("(?m)^b$", "a\nb\nc"));
  EXPECT_TRUE(Matches("^(\\d+)$|^none$", "none"));
  EXPECT_TRUE(Matches("\\Aabc\\Z", "abc"));
  EXPECT_TRUE(Finds("\\bcat\\b", "a cat!"));
  EXPECT_FALSE(Finds("\\bcat\\b", "concat"));
  EXPECT_TRUE(Finds("\\Bcat", "concat"));
  EXPECT_FALSE(Finds("\\bcat", "\u00e9cat"));
}

TEST(Regex, KnowsPropertiesOfUnicode) {
  EXPECT_TRUE(Matches("\\p{L}+", "\u00dcberg\u65e5\u03a9"));
  EXPECT_FALSE(Matches("\\p{L}+", "a1"));
  EXPECT_TRUE(Matches("\\p{Lu}\\p{Lowercase_Letter}", "\u00c9a"));
  EXPECT_TRUE(Matches("\\p{Han}\\p{Script=Han}\\p{sc=Latin}", "\u6f22\u5b57a"));
  EXPECT_TRUE(Matches("[^\\p{L}]\\P{L}\\PL", "1 \U0001F600"));
  EXPECT_THAT(CompileRegex("\\p{Nonsense}", RegexUse::kWholeText),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Nonsense")));
}

TEST(Regex, HasLookAheadWhereASearchDecidesItExactly) {
  EXPECT_TRUE(Finds("^(?!foo)[a-z]+$", "fop"));
  EXPECT_FALSE(Finds("^(?!foo)[a-z]+$", "fooo"));
  EXPECT_TRUE(Finds("^(?=.*\\d)(?=.*[a-z]).{4,8}$", "12a4"));
  EXPECT_FALSE(Finds("^(?=.*\\d)(?=.*[a-z]).{4,8}$", "1234"));
  EXPECT_TRUE(Finds("((?:[^/]*/)*)(?=\\.(yaml|json))", "a/.json"));
  EXPECT_FALSE(Finds("((?:[^/]*/)*)(?=\\.(yaml|json))", "a/.js"));
  EXPECT_FALSE(Finds("^(?!.*\\d)", "x\u0662")) << "a digit by one reading";
}

TEST(Regex, NamesWhatItRefusesAndWhere) {
  const auto refuses = [](const std::string& pattern, const std::string& what) {
    EXPECT_THAT(CompileRegex(pattern, RegexUse::kWholeText),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)))
        << pattern;
  };
  refuses("(?=a)b", "character 0: look-ahead");
  refuses("a(?!b)", "character 1: look-ahead");
  refuses("ab(?<=b)", "character 2: look-behind");
  refuses("ab(?<!b)", "character 2: look-behind");
  refuses("(a)\\1", "character 3: back-references");
  refuses("(?P<q>a)(?P=q)", "character 8: back-references");
  refuses("(?<q>a)\\k<q>", "character 7: back-references");
  refuses("(?>a)", "atomic");
  refuses("a++", "possessive");
  refuses("(a)(?(1)b)", "conditions");
  refuses("a(?R)?", "recursion");
  refuses("(a", "character 0: a ( has no )");
  refuses("a)", "character 1: a ) has no (");
  refuses("[a", "class needs its ]");
  refuses("[z-a]", "backwards");
  refuses("*a", "nothing to repeat");
  refuses("a**", "repeated");
  refuses("a{3,2}", "maximum below");
  refuses("a\\", "backslash");
  refuses("\\y", "unknown escape \\y");
  refuses("\xff", "UTF-8");
}

TEST(Regex, WhatWouldTakeLongIsRefused) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> patterns = {"(a{1000}){1000}", "(.*a.{25}){3}",
                                       "((a{0,99}){0,99}){0,99}", "[ab]*a[ab]{40}",
                                       "(x+x+)+y{9999}z{99999}"};
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += "(";
  patterns.push_back(nested);
  for (const std::string& pattern : patterns) {
    EXPECT_FALSE(CompileRegex(pattern, RegexUse::kSearch).ok()) << pattern.substr(0, 50);
  }
  EXPECT_THAT(CompileRegex(std::string(100'000, 'a'), RegexUse::kWholeText),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("longer")));
  EXPECT_TRUE(CompileRegex("a{1,1000}", RegexUse::kSearch).ok());
  EXPECT_TRUE(CompileRegex("(a+)+b", RegexUse::kWholeText).ok());
  EXPECT_TRUE(CompileRegex("(a?){25}a{25}", RegexUse::kWholeText).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(Regex, AClassWithASetAndItsNegationHasEveryCharacter) {
  for (const char* pattern : {"[\\s\\S]*", "[\\w\\W]*", "[\\D\\d]*"}) {
    const auto dfa = CompileRegex(pattern, RegexUse::kWholeText);
    ASSERT_TRUE(dfa.ok());
    EXPECT_TRUE(IsAnyText(*dfa)) << pattern;
  }
}

}  // namespace
}  // namespace sdar::grammar
