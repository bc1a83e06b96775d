// SPDX-License-Identifier: Apache-2.0
// Searches of text agree with the obvious ones, byte for byte.
#include "runtime/text/jinja/library/python_text.h"

#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using Parts = std::vector<std::string>;

std::string RandomText(std::mt19937& random, size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = "ab"[random() % 2];
  return text;
}

TEST(PythonTextTest, SearchesFindWhatSimpleOnesFind) {
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = RandomText(random, random() % 300);
    std::string part = RandomText(random, 1 + random() % 40);
    if (i % 2 == 0 && text.size() > 50) part = text.substr(random() % 20, 1 + random() % 30);
    EXPECT_EQ(FindText(text, part), text.find(part)) << text << " " << part;
    EXPECT_EQ(FindLastText(text, part), text.rfind(part)) << text << " " << part;
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + part.size())) {
      ++count;
    }
    EXPECT_EQ(CountText(text, part), count) << text << " " << part;
  }
}

TEST(PythonTextTest, SearchesBeginWhereTheyAreTold) {
  EXPECT_EQ(FindText("abab", "ab", 1), 2u);
  EXPECT_EQ(FindText("abab", "", 4), 4u);
  EXPECT_EQ(FindText("abab", "a", 5), absl::string_view::npos);
  EXPECT_EQ(FindLastText("abab", ""), 4u);
  EXPECT_EQ(FindLastText("", "a"), absl::string_view::npos);
}

TEST(PythonTextTest, CountsStopAtTheirLimit) {
  EXPECT_EQ(CountText("aaaa", "a", 3), 3u);
  EXPECT_EQ(CountText("aaaa", "a", 0), 0u);
}

Parts SplitFromTheRight(absl::string_view text, absl::string_view separator, int64_t limit) {
  Parts parts;
  EXPECT_TRUE(PythonRightSplit(text, separator, limit, [&](absl::string_view part) {
                parts.emplace_back(part);
                return absl::OkStatus();
              }).ok());
  return parts;
}

TEST(PythonTextTest, SplitsFromTheRightGoFromTheRight) {
  EXPECT_THAT(SplitFromTheRight("a--b--c", "--", -1), ElementsAre("c", "b", "a"));
  EXPECT_THAT(SplitFromTheRight("a--b--c", "--", 1), ElementsAre("c", "a--b"));
  EXPECT_THAT(SplitFromTheRight("aaaa", "aa", -1), ElementsAre("", "", ""));
  const std::string separator(20, '-');
  EXPECT_THAT(SplitFromTheRight("x" + separator + "-y", separator, -1), ElementsAre("y", "x-"));
}

TEST(PythonTextTest, AnErrorEndsTheSplitting) {
  int calls = 0;
  EXPECT_FALSE(PythonSplit("a,b,c", ",", -1, [&](absl::string_view) {
                 ++calls;
                 return absl::InternalError("enough");
               }).ok());
  EXPECT_EQ(calls, 1);
}

TEST(PythonTextTest, StripsManyKindsOfCharacters) {
  EXPECT_EQ(PythonStrip("\u00e4\u65e5xay\u00e4", StripSide::kBoth, "\u65e5\u00e4y"), "xa");
  EXPECT_EQ(PythonStrip("aXa", StripSide::kRight, "a"), "aX");
  EXPECT_EQ(PythonStrip(" a ", StripSide::kBoth, ""), " a ");
  EXPECT_EQ(PythonStrip("\u2003 a\u3000", StripSide::kBoth), "a");
}

}  // namespace
}  // namespace sdar
