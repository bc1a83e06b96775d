// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/tokenizer.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/text/tokenizer_fixture.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<TokenId>;

Json AddedTokenJson(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

Ids EncodeWith(const Json& tokenizer_json, const std::string& text) {
  auto tokenizer = FromTokenizerJson(tokenizer_json);
  EXPECT_THAT(tokenizer, IsOk());
  auto ids = tokenizer->Encode(text);
  EXPECT_THAT(ids, IsOk());
  return *ids;
}

TEST(TokenizerTest, EarlierMergesGoFirst) {
  EXPECT_THAT(EncodeWith(SmallTokenizerJson({{"b", "c"}, {"a", "b"}}), "abc"),
              ElementsAre('a', 256));
}

TEST(TokenizerTest, EqualMergesGoLeftmostFirst) {
  EXPECT_THAT(EncodeWith(SmallTokenizerJson({{"a", "a"}}), "aaa"), ElementsAre(256, 'a'));
}

TEST(TokenizerTest, MergesDoNotCrossWords) {
  EXPECT_THAT(EncodeWith(SmallTokenizerJson({{"1", "1"}}), "11"), ElementsAre('1', '1'));
}

TEST(TokenizerTest, MergesMayBeWrittenAsOneString) {
  Json json = SmallTokenizerJson({{"a", "b"}});
  json["model"]["merges"] = Json::array({"a b"});
  EXPECT_THAT(EncodeWith(json, "ab"), ElementsAre(256));
}

TEST(TokenizerTest, IgnoreMergesTakesWholeWordsFromTheVocabulary) {
  Json json = SmallTokenizerJson({{"a", "b"}});
  json["model"]["merges"] = Json::array();
  json["model"]["ignore_merges"] = true;
  EXPECT_THAT(EncodeWith(json, "ab"), ElementsAre(256));
}

TEST(TokenizerTest, TextIsNormalisedToComposedForm) {
  EXPECT_EQ(EncodeWith(SmallTokenizerJson({}), "e\u0301"), (Ids{0xC3, 0xA9}));
}

TEST(TokenizerTest, InvalidUtf8CountsAsReplacementCharacters) {
  const Json json = SmallTokenizerJson({});
  EXPECT_EQ(EncodeWith(json, "a\xFF\xE2\x82z"), EncodeWith(json, "a\uFFFD\uFFFDz"));
}

TEST(TokenizerTest, LongestAddedTokenWins) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<a>"), AddedTokenJson(301, "<a><b>")});
  EXPECT_THAT(EncodeWith(json, "<a><b><a>"), ElementsAre(301, 300));
}

TEST(TokenizerTest, AddedTokenMayTakeTheSpacesAroundIt) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<a>")});
  json["added_tokens"][0]["lstrip"] = true;
  json["added_tokens"][0]["rstrip"] = true;
  EXPECT_THAT(EncodeWith(json, "x  <a>\n y"), ElementsAre('x', 300, 'y'));
}

TEST(TokenizerTest, SingleWordTokenIsNotFoundInsideWords) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "ab")});
  json["added_tokens"][0]["single_word"] = true;
  EXPECT_THAT(EncodeWith(json, "ab-abc"), ElementsAre(300, '-', 'a', 'b', 'c'));
}

TEST(TokenizerTest, NormalizedTokenIsFoundInNormalisedText) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "\u00e9")});
  json["added_tokens"][0]["normalized"] = true;
  EXPECT_THAT(EncodeWith(json, "e\u0301"), ElementsAre(300));
}

TEST(TokenizerTest, AddedTokenIsMatchedBeforeNormalisation) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<a>")});
  EXPECT_THAT(EncodeWith(json, "<a>\u0338"), ElementsAre(300, 0xCC, 0xB8));
}

TEST(TokenizerTest, DecodeReplacesInvalidSequencesAsPythonDoes) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, FromTokenizerJson(SmallTokenizerJson({})));
  EXPECT_EQ(tokenizer.Decode(Ids{0xF0, 0x9F, 0x98, 'a', 0x80, 0xED, 0xA0, 0x80}, false),
            "\uFFFDa\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(TokenizerTest, SkippedSpecialTokenDoesNotSplitACharacter) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<s>")});
  json["added_tokens"][0]["special"] = true;
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, FromTokenizerJson(json));
  EXPECT_EQ(tokenizer.Decode(Ids{0xC3, 300, 0xA9}, true), "\u00e9");
  EXPECT_EQ(tokenizer.Decode(Ids{0xC3, 300, 0xA9}, false), "\uFFFD<s>\uFFFD");
}

TEST(TokenizerTest, IdsWithoutAnEntryStandForNothing) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<s>")});
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, FromTokenizerJson(json));
  EXPECT_EQ(tokenizer.vocab_limit(), 301);
  EXPECT_FALSE(tokenizer.HasToken(299));
  EXPECT_FALSE(tokenizer.HasToken(-1));
  EXPECT_EQ(tokenizer.Decode(Ids{'a', 299, -1, 5000, 'b'}, false), "ab");
}

TEST(TokenizerTest, ConfigNamesTheMaskTokenAndMakesItSpecial) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] = Json::array({AddedTokenJson(300, "<m>")});
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                            FromTokenizerJson(json, R"({"mask_token": {"content": "<m>"}})"));
  EXPECT_EQ(tokenizer.mask_token(), std::optional<TokenId>(300));
  EXPECT_TRUE(tokenizer.IsSpecial(300));
}

TEST(TokenizerTest, ConfigWinsOverStaleAddedTokens) {
  Json json = SmallTokenizerJson({});
  TokenizerFiles files;
  files.vocab_json = json["model"]["vocab"].dump();
  files.merges_txt = "#version: 0.2\n";
  files.added_tokens_json = R"({"<OLD>": 300})";
  files.tokenizer_config_json = R"({"added_tokens_decoder": {"300": {"content": "<new>"}}})";
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Tokenizer::FromFiles(files));
  EXPECT_EQ(tokenizer.TokenBytes(300), "<new>");
  EXPECT_FALSE(tokenizer.FindToken("<OLD>").has_value());
}

TEST(TokenizerTest, UnsupportedComponentsAreNamed) {
  const auto error_of = [](const char* path, const Json& value) {
    Json json = SmallTokenizerJson({});
    json[Json::json_pointer(path)] = value;
    return FromTokenizerJson(json).status();
  };
  constexpr auto kUnsupported = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(error_of("/normalizer/type", "Lowercase"),
              StatusIs(kUnsupported, HasSubstr("Lowercase")));
  EXPECT_THAT(error_of("/model/type", "Unigram"), StatusIs(kUnsupported, HasSubstr("Unigram")));
  EXPECT_THAT(error_of("/decoder/type", "Metaspace"),
              StatusIs(kUnsupported, HasSubstr("Metaspace")));
  EXPECT_THAT(error_of("/pre_tokenizer/pretokenizers/0/type", "Digits"),
              StatusIs(kUnsupported, HasSubstr("Digits")));
  EXPECT_THAT(error_of("/pre_tokenizer/pretokenizers/0/behavior", "Removed"),
              StatusIs(kUnsupported, HasSubstr("Removed")));
  EXPECT_THAT(error_of("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(a"),
              StatusIs(kUnsupported, HasSubstr("(a")));
  EXPECT_THAT(error_of("/post_processor", {{"type", "TemplateProcessing"}}),
              StatusIs(kUnsupported, HasSubstr("TemplateProcessing")));
  const Json adds = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  EXPECT_THAT(error_of("/post_processor",
                       {{"type", "TemplateProcessing"}, {"single", Json::array({adds, text})}}),
              StatusIs(kUnsupported, HasSubstr("<s>")));
  EXPECT_THAT(error_of("/post_processor",
                       {{"type", "TemplateProcessing"}, {"single", Json::array({text, text})}}),
              StatusIs(kUnsupported, HasSubstr("2 texts")));
  EXPECT_THAT(error_of("/model/end_of_word_suffix", "</w>"),
              StatusIs(kUnsupported, HasSubstr("</w>")));
}

TEST(TokenizerTest, APostProcessorThatAddsNothingIsAccepted) {
  const Json byte_level = {{"type", "ByteLevel"}, {"trim_offsets", false}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json empty = {{"type", "TemplateProcessing"},
                      {"single", Json::array({text})},
                      {"special_tokens", Json::object()}};
  const Json both = {{"type", "Sequence"}, {"processors", Json::array({byte_level, empty})}};
  for (const Json& processor : {byte_level, empty, both}) {
    Json json = SmallTokenizerJson({{"a", "b"}});
    json["post_processor"] = processor;
    EXPECT_EQ(EncodeWith(json, "abc"), EncodeWith(SmallTokenizerJson({{"a", "b"}}), "abc"));
  }
}

TEST(TokenizerTest, ExtraSpecialTokensAreSpecial) {
  Json json = SmallTokenizerJson({});
  json["added_tokens"] =
      Json::array({{{"id", 300}, {"content", "<a>"}}, {{"id", 301}, {"content", "<b>"}}});
  for (const char* config : {R"({"extra_special_tokens": ["<a>"]})",
                             R"({"extra_special_tokens": {"audio_token": "<a>"}})"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, FromTokenizerJson(json, config));
    EXPECT_TRUE(tokenizer.IsSpecial(300));
    EXPECT_FALSE(tokenizer.IsSpecial(301));
  }
}

TEST(TokenizerTest, VocabularyWithoutAByteIsRefused) {
  Json json = SmallTokenizerJson({});
  json["model"]["vocab"].erase("a");
  EXPECT_THAT(FromTokenizerJson(json),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte 97")));
}

TEST(TokenizerTest, MergeOfAnUnknownTokenIsRefused) {
  Json json = SmallTokenizerJson({});
  json["model"]["merges"] = Json::array({"a b"});
  EXPECT_THAT(FromTokenizerJson(json),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("merge 0")));
}

TEST(TokenizerTest, MissingFolderIsNotFound) {
  EXPECT_THAT(Tokenizer::Load("Organisation/Model"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("local folder")));
}

TEST(TokenizerTest, LongWordWithoutSpacesIsNotQuadratic) {
  const Json json = SmallTokenizerJson({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}});
  EXPECT_EQ(EncodeWith(json, std::string(1 << 21, 'a')).size(), size_t{1 << 18});
}

TEST(TokenizerTest, LongRunOfCombiningMarksIsNotQuadratic) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i) text += "\u0301";
  for (int i = 0; i < 200000; ++i) text += "\u0316";
  EXPECT_FALSE(EncodeWith(SmallTokenizerJson({}), text).empty());
}

}  // namespace
}  // namespace sdar
