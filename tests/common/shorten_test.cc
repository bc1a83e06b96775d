// SPDX-License-Identifier: Apache-2.0
#include "common/shorten.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/json_fields.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ShortenTest, KeepsWhatIsShortEnough) {
  EXPECT_EQ(Shorten(""), "");
  EXPECT_EQ(Shorten("abcd", 4), "abcd");
}

TEST(ShortenTest, MarksWhatItCuts) { EXPECT_EQ(Shorten("abcde", 4), "abcd..."); }

TEST(ShortenTest, CutsBetweenCharacters) {
  const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";  // 1, 2, 3 and 4 bytes
  EXPECT_EQ(Shorten(text, 2), "a...");
  EXPECT_EQ(Shorten(text, 3), "a\xc3\xa4...");
  EXPECT_EQ(Shorten(text, 5), "a\xc3\xa4...");
  EXPECT_EQ(Shorten(text, 9), "a\xc3\xa4\xe2\x82\xac...");
  EXPECT_EQ(Shorten(text, 10), text);
}

TEST(ShortenTest, KeepsBytesThatAreNotUtf8WithinBounds) {
  EXPECT_EQ(Shorten(std::string(100, '\x80'), 50).size(), 50u);
}

TEST(ShortenTest, MistypedQuotesOnlyTheStartOfAValueAndNoHalfCharacter) {
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    for (int i = 0; i < 1000; ++i) text += "\xf0\x9f\x98\x80";
    const absl::Status status = Mistyped("a number", Json(text));
    EXPECT_LE(status.message().size(), 120u);
    EXPECT_THAT(DumpJson(Json(std::string(status.message()))), Not(HasSubstr("\xef\xbf\xbd")));
  }
}

}  // namespace
}  // namespace sdar
