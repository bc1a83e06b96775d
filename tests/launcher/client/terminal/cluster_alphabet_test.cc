// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/cluster_alphabet.h"

#include <cwchar>
#include <string>

#include "gtest/gtest.h"

#include "launcher/client/terminal/terminal.h"

namespace sdar {
namespace {

class ClusterAlphabetTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(UseUtf8Locale()); }

  static int WidthOf(const std::wstring& symbols) {
    return wcswidth(symbols.c_str(), symbols.size());
  }

  ClusterAlphabet alphabet_;
};

TEST_F(ClusterAlphabetTest, CharactersWithoutMarksStandForThemselves) {
  EXPECT_EQ(alphabet_.Encode("a\u00e9\u6f22\n\t"), L"a\u00e9\u6f22\n\t");
}

TEST_F(ClusterAlphabetTest, CharacterWithMarksIsOneSymbolOfItsWidth) {
  const std::wstring narrow = alphabet_.Encode("e\u0301\u0323");
  const std::wstring wide = alphabet_.Encode("\u304b\u3099");
  EXPECT_EQ(narrow.size(), 1u);
  EXPECT_EQ(WidthOf(narrow), 1);
  EXPECT_EQ(wide.size(), 1u);
  EXPECT_EQ(WidthOf(wide), 2);
  EXPECT_EQ(alphabet_.Encode("e\u0301\u0323"), narrow);
}

TEST_F(ClusterAlphabetTest, DecodingGivesTheTextBack) {
  const std::string texts[] = {"n\u0303o\u0301", "\U0001F44D\uFE0F", "\U00100001 \U00017001",
                               "\u0915\u094d\u0937"};
  for (const std::string& text : texts) {
    EXPECT_EQ(alphabet_.Decode(alphabet_.Encode(text)), text);
  }
}

TEST_F(ClusterAlphabetTest, MarksThatComeLaterJoinTheCharacter) {
  const wchar_t once = alphabet_.AddMark(L'e', 0x301);
  const wchar_t twice = alphabet_.AddMark(once, 0x323);
  EXPECT_EQ(alphabet_.Decode({twice}), "e\u0301\u0323");
  EXPECT_EQ(alphabet_.AddMark(L'\n', 0x301), L'\n');
}

TEST_F(ClusterAlphabetTest, MarksWithoutACharacterAndControlCharactersAreLeftOut) {
  EXPECT_EQ(alphabet_.Encode("\uFEFFa\x1b[31m\n\u0301"), L"a[31m\n");
}

TEST_F(ClusterAlphabetTest, CharacterCarriesSixteenMarksAtMost) {
  std::string text = "e";
  for (int i = 0; i < 100; ++i) text += "\u0301";
  EXPECT_EQ(alphabet_.Decode(alphabet_.Encode(text)).size(), 1u + 16u * 2u);
}

TEST_F(ClusterAlphabetTest, OutputIsTheTextOfItsSymbols) {
  const std::wstring symbols = alphabet_.Encode("e\u0301");
  ASSERT_EQ(symbols, L"\U00100000");
  EXPECT_EQ(alphabet_.DecodeUtf8("\x1b[1me\u0301\xff"), "\x1b[1me\u0301\xff");
  EXPECT_EQ(alphabet_.DecodeUtf8("a\U00100000b"),
            "ae\u0301"
            "b");
}

}  // namespace
}  // namespace sdar
