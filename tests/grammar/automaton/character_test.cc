// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/character.h"

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace sdar::grammar {
namespace {

constexpr uint32_t kRefused = ~0u;
constexpr uint32_t kUnfinished = ~0u - 1;

// The code point that all the bytes together are.
uint32_t CodePointOf(Writing writing, absl::string_view bytes) {
  BegunCharacter begun = kNoCharacter;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const CharacterStep step = StepCharacter(writing, begun, static_cast<uint8_t>(bytes[i]));
    if (step.kind == CharacterStep::kInvalid) return kRefused;
    if (step.kind == CharacterStep::kComplete) return i + 1 == bytes.size() ? step.value : kRefused;
    begun = step.value;
    EXPECT_FALSE(RangesOf(writing, begun).empty());
  }
  return kUnfinished;
}

TEST(CharacterTest, Utf8IsReadInAllLengths) {
  EXPECT_EQ(CodePointOf(Writing::kPlain, "a"), U'a');
  EXPECT_EQ(CodePointOf(Writing::kPlain, "\u00e9"), 0xE9u);
  EXPECT_EQ(CodePointOf(Writing::kPlain, "\u20ac"), 0x20ACu);
  EXPECT_EQ(CodePointOf(Writing::kPlain, "\U0010ffff"), 0x10FFFFu);
  EXPECT_EQ(CodePointOf(Writing::kPlain, "\xe2\x82"), kUnfinished);
}

TEST(CharacterTest, OverlongFormsAndSurrogatesAreNotUtf8) {
  for (const char* bytes :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xff"}) {
    EXPECT_EQ(CodePointOf(Writing::kPlain, bytes), kRefused) << bytes;
  }
}

TEST(CharacterTest, EscapesAreReadInJsonStrings) {
  EXPECT_EQ(CodePointOf(Writing::kJsonString, R"(\n)"), 10u);
  EXPECT_EQ(CodePointOf(Writing::kJsonString, R"(\/)"), U'/');
  EXPECT_EQ(CodePointOf(Writing::kJsonString, R"(\u00e9)"), 0xE9u);
  EXPECT_EQ(CodePointOf(Writing::kJsonString, R"(\ud83d\uDE00)"), 0x1F600u);
}

TEST(CharacterTest, BadEscapesAndBareControlsAreRefused) {
  for (const char* bytes :
       {R"(\x)", R"(\u12g4)", R"(\ude00)", R"(\ud83dx)", R"(\ud83d\u0041)", "\n", "\""}) {
    EXPECT_EQ(CodePointOf(Writing::kJsonString, bytes), kRefused) << bytes;
  }
}

}  // namespace
}  // namespace sdar::grammar
