// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/incremental_detokenizer.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "common/utf8.h"
#include "tests/text/tokenizer_fixture.h"

namespace sdar {
namespace {

Tokenizer MakeTokenizer() {
  Json json = SmallTokenizerJson({{"a", "b"}});
  json["added_tokens"] = {{{"id", 300}, {"content", "<s>"}, {"special", true}},
                          {{"id", 301}, {"content", "<t>"}, {"normalized", false}}};
  return *FromTokenizerJson(json);
}

TEST(IncrementalDetokenizerTest, HoldsBackHalfACharacter) {
  const Tokenizer tokenizer = MakeTokenizer();
  IncrementalDetokenizer detokenizer(tokenizer, false);
  EXPECT_EQ(detokenizer.Push('x'), "x");
  EXPECT_EQ(detokenizer.Push(0xE2), "");
  EXPECT_EQ(detokenizer.Push(0x82), "");
  EXPECT_EQ(detokenizer.Push(0xAC), "\u20AC");
  EXPECT_EQ(detokenizer.Flush(), "");
}

TEST(IncrementalDetokenizerTest, FlushReplacesWhatStaysIncomplete) {
  const Tokenizer tokenizer = MakeTokenizer();
  IncrementalDetokenizer detokenizer(tokenizer, false);
  EXPECT_EQ(detokenizer.Push(0xF0), "");
  EXPECT_EQ(detokenizer.Push(0x9F), "");
  EXPECT_EQ(detokenizer.Flush(), "\uFFFD");
  EXPECT_EQ(detokenizer.Push('a'), "a");
}

TEST(IncrementalDetokenizerTest, PiecesJoinToTheDecodedText) {
  const Tokenizer tokenizer = MakeTokenizer();
  std::mt19937 random(20251123);
  constexpr TokenId kInteresting[] = {0xC3, 0xE2, 0xF0, 0xED, 0x9F, 0x80, 0xBF, 0xF4,
                                      0x90, 'a',  256,  300,  301,  299,  -1,   0xFF};
  for (int round = 0; round < 5000; ++round) {
    for (const bool skip_special : {false, true}) {
      std::vector<TokenId> ids(random() % 12);
      for (TokenId& id : ids) id = kInteresting[random() % std::size(kInteresting)];
      IncrementalDetokenizer detokenizer(tokenizer, skip_special);
      std::string joined;
      for (const TokenId id : ids) {
        const std::string piece = detokenizer.Push(id);
        ASSERT_TRUE(IsValidUtf8(piece));
        joined += piece;
      }
      joined += detokenizer.Flush();
      ASSERT_EQ(joined, tokenizer.Decode(ids, skip_special)) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace sdar
