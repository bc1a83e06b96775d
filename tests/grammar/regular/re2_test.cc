// SPDX-License-Identifier: Apache-2.0
// Compares regular expressions with RE2 on patterns and texts that are made up.
#include "re2/re2.h"

#include <cstddef>
#include <random>
#include <string>

#include "gtest/gtest.h"

#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"

namespace sdar::grammar {
namespace {

class PatternMaker {
 public:
  explicit PatternMaker(uint32_t seed) : random_(seed) {}

  std::string Pattern(int depth) {
    std::string pattern = Sequence(depth);
    while (Below(4) == 0) pattern += "|" + Sequence(depth);
    return pattern;
  }

  std::string Text() {
    static const char* const kPieces[] = {"a", "b", "c", "1", "_", " ", "\n", "\u00e9", "A", "-"};
    std::string text;
    for (size_t i = Below(7); i > 0; --i) text += kPieces[Below(10)];
    return text;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }

  std::string Sequence(int depth) {
    std::string sequence;
    for (size_t i = Below(4); i > 0; --i) sequence += Item(depth);
    return sequence;
  }

  std::string Item(int depth) {
    static const char* const kAtoms[] = {"a",    "b",      "c",      "1",        "\\d",    "[ab]",
                                         "[^a]", "[b-c]",  "[\\d_]", "[^\\d_c]", "(?s:.)", "\u00e9",
                                         "-",    "(?i:a)", "[^\\n]", "\\x41"};
    static const char* const kAnchors[] = {"^", "$", "\\A", "\\z"};
    static const char* const kTimes[] = {"*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??"};
    if (Below(8) == 0) return kAnchors[Below(4)];
    std::string item = kAtoms[Below(16)];
    if (depth > 0 && Below(3) == 0) item = "(?:" + Pattern(depth - 1) + ")";
    if (Below(3) == 0) item += kTimes[Below(9)];
    return item;
  }

  std::mt19937 random_;
};

TEST(RegexAgainstRe2, AgreesOnMadeUpPatterns) {
  PatternMaker maker(20240229);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string pattern = maker.Pattern(2);
    const re2::RE2 re2(pattern, re2::RE2::Quiet);
    if (!re2.ok()) continue;
    const auto whole = CompileRegex(pattern, RegexUse::kWholeText);
    const auto search = CompileRegex(pattern, RegexUse::kSearch);
    ASSERT_TRUE(whole.ok() && search.ok()) << pattern << whole.status() << search.status();
    for (int t = 0; t < 30; ++t) {
      const std::string text = maker.Text();
      ++compared;
      EXPECT_EQ(Contains(*whole, text), re2::RE2::FullMatch(text, re2)) << pattern << " | " << text;
      EXPECT_EQ(Contains(*search, text), re2::RE2::PartialMatch(text, re2))
          << pattern << " | " << text;
    }
    if (HasFailure()) break;
  }
  EXPECT_GT(compared, 50'000);
}

}  // namespace
}  // namespace sdar::grammar
