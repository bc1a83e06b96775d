// SPDX-License-Identifier: Apache-2.0
// Texts that are made to be slow are tokenized like any other: in time and memory that grow with
// their length, or refused with a status. Where this fails a test hangs.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/text/incremental_detokenizer.h"
#include "runtime/text/text_codec.h"
#include "tests/text/tokenizer_fixture.h"

namespace sdar {
namespace {

using ::testing::_;

constexpr size_t kSize = 2'000'000;

std::string Repeat(const std::string& text) {
  std::string out;
  while (out.size() < kSize) out += text;
  return out;
}

Tokenizer LinearTestTokenizer() {
  Json json = SmallTokenizerJson(
      {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}, {"a", "b"}, {"b", "a"}, {"ab", "ab"}});
  int id = 300;
  for (const char* token :
       {"<|im_start|>", "<|im_end|>", "<tool_call>", "<|im_start|><|im_end|>!", "<strip>"}) {
    const bool strips = std::string(token) == "<strip>";
    json["added_tokens"].push_back({{"id", id++},
                                    {"content", token},
                                    {"single_word", false},
                                    {"lstrip", strips},
                                    {"rstrip", strips},
                                    {"normalized", false},
                                    {"special", true}});
  }
  return *FromTokenizerJson(json);
}

TEST(TokenizerLinearTest, TextsMadeToBeSlowAreEncodedToTheByte) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  for (const std::string& text : {Repeat("a"),
                                  Repeat("b"),
                                  Repeat("ab"),
                                  Repeat("aab"),
                                  Repeat("ba"),
                                  Repeat(" "),
                                  Repeat("\n"),
                                  Repeat("\r\n"),
                                  Repeat(" \n"),
                                  Repeat("\n "),
                                  Repeat("\t"),
                                  Repeat("  a"),
                                  Repeat("7"),
                                  Repeat("7 "),
                                  Repeat("'s"),
                                  Repeat("'"),
                                  Repeat("!"),
                                  Repeat("! "),
                                  Repeat("<|im_start|>"),
                                  Repeat("<|im_start"),
                                  Repeat("<|im_start|><|im_end|>"),
                                  Repeat("<"),
                                  Repeat("<tool_call"),
                                  Repeat("\u65e5"),
                                  Repeat("\u3000"),
                                  Repeat("\u0e33"),
                                  Repeat("a\u4e00"),
                                  Repeat("\U0001F600"),
                                  Repeat(" ") + "a",
                                  "\n" + Repeat(" ") + "a",
                                  Repeat(" ") + "\n" + Repeat(" ") + "!"}) {
    const auto ids = tokenizer.Encode(text);
    ASSERT_THAT(ids, IsOk()) << text.substr(0, 20);
    EXPECT_EQ(tokenizer.Decode(*ids, false), text) << text.substr(0, 20);
  }
}

TEST(TokenizerLinearTest, ARunOfSpacesMayBeAsLongAsABody) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  const auto ids = tokenizer.Encode(std::string(16 << 20, ' '));
  ASSERT_THAT(ids, IsOk());
  EXPECT_EQ(ids->size(), size_t{16} << 20);
}

TEST(TokenizerLinearTest, TokensThatTakeSpaceTakeItOnce) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  const auto ids = tokenizer.Encode(Repeat("  <strip>  "));
  ASSERT_THAT(ids, IsOk());
  EXPECT_EQ(ids->size(), (kSize + 10) / 11);
}

TEST(TokenizerLinearTest, RunsOfCombiningMarksAreSorted) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  for (const std::string& text :
       {"a" + Repeat("\u0301\u0323"), Repeat("\u0301"), Repeat("e\u0301"),
        Repeat("\u1100\u1161\u11a8"), "a" + Repeat("\u0345\u0301\u0323\u05b0")}) {
    EXPECT_THAT(tokenizer.Encode(text), IsOk());
  }
}

TEST(TokenizerLinearTest, BytesThatAreNotUtf8AreReplaced) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  for (const std::string& text : {Repeat("\x80"), Repeat("\xff"), Repeat("\xf0\x9f"),
                                  Repeat("a\xe2\x82"), Repeat("\xed\xa0\x80")}) {
    const auto ids = tokenizer.Encode(text);
    ASSERT_THAT(ids, IsOk());
    EXPECT_THAT(tokenizer.Decode(*ids, false), ::testing::HasSubstr("\uFFFD"));
  }
}

// Encodes with a pre-tokenizer of one pattern, which may pass its limits.
absl::Status EncodeByPattern(const std::string& pattern, const std::string& text) {
  Json json = SmallTokenizerJson({});
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
  const auto tokenizer = FromTokenizerJson(json);
  if (!tokenizer.ok()) return tokenizer.status();
  return tokenizer->Encode(text).status();
}

TEST(TokenizerLinearTest, APatternThatBacktracksWithoutEndIsAStatus) {
  const std::string text = std::string(3000, 'a') + "," + std::string(3000, 'a') + ",b";
  for (const char* pattern : {"(a+)+b", "(?:a|aa)+b", "(a*)*b"}) {
    EXPECT_THAT(EncodeByPattern(pattern, text), StatusIs(absl::StatusCode::kResourceExhausted, _))
        << pattern;
  }
}

TEST(TokenizerLinearTest, APatternThatRecursesIsDoneOrAStatus) {
  const absl::Status status =
      EncodeByPattern("(?:\\((?R)*\\)|x)+", std::string(kSize, '(') + std::string(kSize, ')'));
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kResourceExhausted) << status;
}

TEST(TokenizerLinearTest, AddedTokensReplaceEachOtherInTheOrderOfTheFile) {
  std::string decoder;
  for (int i = 0; i < 30000; ++i) {
    absl::StrAppend(&decoder, i == 0 ? "" : ",", "\"", 1000 + i, "\":{\"content\":\"t", i % 20000,
                    "\"}");
  }
  const auto tokenizer = FromTokenizerJson(
      SmallTokenizerJson({}), absl::StrCat("{\"added_tokens_decoder\":{", decoder, "}}"));
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_FALSE(tokenizer->HasToken(1000));
  EXPECT_EQ(tokenizer->FindToken("t0"), 21000);
  EXPECT_EQ(tokenizer->FindToken("t19999"), 20999);
}

TEST(TokenizerLinearTest, AStreamOfHalfCharactersIsDecodedToTheEnd) {
  const Tokenizer tokenizer = LinearTestTokenizer();
  for (const TokenId byte : {0x80, 0xE2, 0xF0, 0xFF}) {
    IncrementalDetokenizer decoder(tokenizer, false);
    size_t size = 0;
    for (size_t i = 0; i < kSize; ++i) size += decoder.Push(byte).size();
    size += decoder.Flush().size();
    EXPECT_EQ(size, 3 * kSize) << byte;
  }
}

TEST(TokenizerLinearTest, NoTextIsLongerThanItsTokensCanBe) {
  const auto codec = TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  ASSERT_THAT(codec, IsOk());
  const Tokenizer& tokenizer = codec->tokenizer();
  for (const std::string& text :
       {std::string("a"), std::string(1000, ' '), std::string("Compute 11 + 16."),
        std::string("\u1100\u1161\u11a8 e\u0301"), std::string("<|im_start|><|im_end|>")}) {
    const auto ids = tokenizer.Encode(text);
    ASSERT_THAT(ids, IsOk());
    EXPECT_LE(text.size(), *tokenizer.MaxTextBytes(static_cast<int64_t>(ids->size()))) << text;
  }
}

TEST(TokenizerLinearTest, APromptThatCannotFitIsRefusedByItsBytes) {
  auto codec = TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  ASSERT_THAT(codec, IsOk());
  const std::string long_prompt(1'000'000, 'a');
  EXPECT_THAT(codec->EncodePrompt(long_prompt), IsOk());
  codec->LimitPrompts(100);
  const auto refused = codec->EncodePrompt(long_prompt);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(codec->EncodePrompt(std::string(100, 'a')), IsOk());
}

}  // namespace
}  // namespace sdar
