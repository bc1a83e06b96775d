// SPDX-License-Identifier: Apache-2.0
// Names, bytes and offsets of tokens.
#include "runtime/server/api/answers/token_logprobs.h"

#include "gtest/gtest.h"

#include "tests/server/api/api_calls.h"

namespace sdar {
namespace {

// The ids of a text of which some tokens are parts of characters.
std::vector<TokenId> Ids(const std::string& text) { return *TinyTokenizer().Encode(text); }

sdar::v1::Delta DeltaOfIds(const std::vector<TokenId>& ids) {
  sdar::v1::Delta delta;
  for (const TokenId id : ids) {
    delta.add_token_ids(static_cast<uint32_t>(id));
    delta.add_logprobs(-1);
    delta.add_top();
  }
  return delta;
}

TEST(TokenLogprobsTest, PartsOfACharacterHaveNamesOfTheirOwn) {
  EXPECT_EQ(TokenName("é"), "é");
  EXPECT_EQ(TokenName("\xe2\x9c"), "bytes:\\xe2\\x9c");
  EXPECT_EQ(TokenName("\x93"), "bytes:\\x93");
}

TEST(TokenLogprobsTest, BytesAreThoseOfTheToken) {
  const std::vector<TokenId> ids = Ids("✓");
  ASSERT_GT(ids.size(), 1u);  // the test's tokenizer has no such token
  const Json logprobs = ChatLogprobs(DeltaOfIds(ids), TinyTokenizer());
  std::string bytes;
  std::set<std::string> names;
  for (const Json& token : logprobs["content"]) {
    for (const Json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
    names.insert(token["token"].get<std::string>());
  }
  EXPECT_EQ(bytes, "✓");
  EXPECT_EQ(names.size(), ids.size());
}

TEST(TokenLogprobsTest, OffsetsCountCharacters) {
  CompletionLogprobs logprobs(TinyTokenizer(), true);
  const std::vector<TokenId> ids = Ids("é✓A");
  const Json out = logprobs.Take(DeltaOfIds(ids));
  std::string before;
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t characters =
        static_cast<size_t>(std::count_if(before.begin(), before.end(), [](char byte) {
          return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
        }));
    const std::string bytes(TinyTokenizer().TokenBytes(ids[i]));
    const bool within = (static_cast<unsigned char>(bytes[0]) & 0xC0) == 0x80;
    EXPECT_EQ(out["text_offset"][i], characters - (within ? 1 : 0)) << i;
    before += bytes;
  }
  EXPECT_EQ(out["text_offset"].back(), 2);
}

TEST(TokenLogprobsTest, TokensThatAreLeftOutOfTheTextTakeNoPlaceInIt) {
  const std::vector<TokenId> ids = {static_cast<TokenId>(IdOf("A")),
                                    static_cast<TokenId>(IdOf("<|im_end|>")),
                                    static_cast<TokenId>(IdOf("B"))};
  EXPECT_EQ(CompletionLogprobs(TinyTokenizer(), true).Take(DeltaOfIds(ids))["text_offset"],
            Json::array({0, 1, 1}));
  EXPECT_EQ(CompletionLogprobs(TinyTokenizer(), false).Take(DeltaOfIds(ids))["text_offset"],
            Json::array({0, 1, 11}));
}

TEST(TokenLogprobsTest, ATokenThatCannotBeHasANumberThatJsonHas) {
  sdar::v1::Delta delta = DeltaOfIds({static_cast<TokenId>(IdOf("A"))});
  delta.set_logprobs(0, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(ChatLogprobs(delta, TinyTokenizer())["content"][0]["logprob"], -9999);
}

}  // namespace
}  // namespace sdar
