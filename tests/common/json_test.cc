// SPDX-License-Identifier: Apache-2.0
#include "common/json.h"

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

TEST(JsonTest, KeepsTheOrderOfKeys) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(R"({"b":1,"a":{"z":2,"y":3}})", "x"));
  EXPECT_EQ(DumpJson(json), R"({"b":1,"a":{"z":2,"y":3}})");
}

TEST(JsonTest, LaterOfTwoEqualKeysWins) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(R"({"a":1,"b":2,"a":[3,{"c":4}]})", "x"));
  EXPECT_EQ(DumpJson(json), R"({"a":[3,{"c":4}],"b":2})");
}

TEST(JsonTest, RefusesDoubledKeysWhereTheyMustBeUnique) {
  EXPECT_THAT(ParseJson(R"({"o":{"key":1,"key":2}})", "body", 64, true),
              StatusIs(kInvalid, AllOf(StartsWith("body: "), HasSubstr("'key' appears twice"))));
}

TEST(JsonTest, AllowsOneKeyInSeveralObjectsWhereKeysMustBeUnique) {
  EXPECT_THAT(ParseJson(R"([{"a":1},{"a":{"a":2}}])", "body", 64, true), IsOk());
}

TEST(JsonTest, TakesExactlyTheAllowedDepth) {
  EXPECT_THAT(ParseJson(Nested(64), "x"), IsOk());
  EXPECT_THAT(ParseJson(Nested(65), "x"), StatusIs(kInvalid, HasSubstr("deeper than 64 levels")));
}

TEST(JsonTest, CountsObjectsAndArraysAsDepth) {
  EXPECT_THAT(ParseJson(R"({"a":[{}]})", "x", 3), IsOk());
  EXPECT_THAT(ParseJson(R"({"a":[{}]})", "x", 2), StatusIs(kInvalid, HasSubstr("deeper than 2")));
}

TEST(JsonTest, RefusesDepthThatWouldOverflowTheStack) {
  EXPECT_THAT(ParseJson(std::string(1 << 20, '['), "x"),
              StatusIs(kInvalid, HasSubstr("deeper than 64 levels")));
}

TEST(JsonTest, NamesTheSourceAndTheByteOfAnError) {
  EXPECT_THAT(ParseJson("{\"a\": nope}", "config.json"),
              StatusIs(kInvalid, StartsWith("config.json: not JSON at byte 8")));
}

TEST(JsonTest, RefusesWhatFollowsTheValue) {
  EXPECT_THAT(ParseJson("{} {}", "x"), StatusIs(kInvalid, HasSubstr("byte 4")));
}

TEST(JsonTest, RefusesEmptyAndTruncatedText) {
  for (const char* text : {"", " ", "{", "[1,", "\"a", "{\"a\"", "tru"}) {
    EXPECT_THAT(ParseJson(text, "x"), StatusIs(kInvalid, HasSubstr("not JSON"))) << text;
  }
}

TEST(JsonTest, RefusesBytesThatAreNotUtf8) {
  EXPECT_THAT(ParseJson("\"\xff\"", "x"), StatusIs(kInvalid, HasSubstr("not JSON")));
}

TEST(JsonTest, ReportsNumbersBeyondDoubleAsAnError) {
  EXPECT_THAT(ParseJson("[1e400]", "x"), StatusIs(kInvalid, HasSubstr("not JSON")));
}

TEST(JsonTest, QuotesOnlyTheStartOfALongToken) {
  const auto json = ParseJson(absl::StrCat("\"", std::string(100000, 'a')), "x");
  ASSERT_THAT(json, StatusIs(kInvalid, HasSubstr("aaaa")));
  EXPECT_LE(json.status().message().size(), 400u);
}

TEST(JsonTest, QuotesOnlyTheStartOfALongKey) {
  const std::string key(100000, 'k');
  const auto json = ParseJson(absl::StrCat("{\"", key, "\":1,\"", key, "\":2}"), "x", 64, true);
  ASSERT_THAT(json, StatusIs(kInvalid, HasSubstr("appears twice")));
  EXPECT_LE(json.status().message().size(), 400u);
}

TEST(JsonTest, NeverCutsAQuotedCharacterInHalf) {
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string key(shift, 'a');
    for (int i = 0; i < 200; ++i) key += "\xf0\x9f\x98\x80";
    const auto json = ParseJson(absl::StrCat("{\"", key, "\":1,\"", key, "\":2}"), "x", 64, true);
    const std::string dumped = DumpJson(Json(std::string(json.status().message())));
    EXPECT_THAT(dumped, Not(HasSubstr("\xef\xbf\xbd"))) << shift;
  }
}

TEST(JsonTest, DumpsBytesThatAreNotUtf8AsReplacementCharacters) {
  EXPECT_EQ(DumpJson(Json("a\xff")), "\"a\xef\xbf\xbd\"");
}

TEST(JsonTest, ParsesWideObjectsInReasonableTime) {
  std::string text = "{\"\":0";
  for (int i = 0; i < 200000; ++i) absl::StrAppend(&text, ",\"k", i, "\":", i);
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text + "}", "vocab.json"));
  EXPECT_EQ(json.size(), 200001u);
}

// Took minutes while every repeated key was looked for among all members.
TEST(JsonTest, RepeatsOfALateKeyAreReadInLinearTime) {
  std::string text = "{\"\":0";
  for (int i = 0; i < 100000; ++i) absl::StrAppend(&text, ",\"k", i, "\":", i);
  for (int i = 0; i < 400000; ++i) absl::StrAppend(&text, ",\"k99999\":", i);
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text + "}", "body"));
  EXPECT_EQ(json.size(), 100001u);
  EXPECT_EQ(json.back(), 399999);
}

TEST(JsonTest, AnyRepeatedKeyOfAWideObjectKeepsItsFirstPlace) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, i == 0 ? "{" : ",", "\"k", i, "\":", i);
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, ",\"k", 99 - i, "\":[", 99 - i, "]");
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text + "}", "body"));
  int i = 0;
  for (const auto& [key, value] : json.items()) {
    EXPECT_EQ(key, absl::StrCat("k", i));
    EXPECT_EQ(value, Json::array({i++}));
  }
  EXPECT_EQ(i, 100);
}

TEST(JsonTest, RefusesDoubledKeysOfAWideObject) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, i == 0 ? "{" : ",", "\"k", i, "\":", i);
  EXPECT_THAT(ParseJson(text + ",\"k70\":1}", "x", 64, true),
              StatusIs(kInvalid, HasSubstr("'k70' appears twice")));
}

TEST(JsonTest, RefusesMoreValuesThanAllowedByName) {
  EXPECT_THAT(ParseJson("[1,{\"a\":[]},\"b\"]", "x", 64, false, 5), IsOk());
  EXPECT_THAT(ParseJson("[1,{\"a\":[]},\"b\"]", "x", 64, false, 4),
              StatusIs(kInvalid, "x: expected at most 4 values, got more"));
}

TEST(JsonTest, EveryKindOfValueCounts) {
  for (const char* value : {"[]", "{}", "\"\"", "1", "-1", "1.5", "true", "null", "{\"\":0}"}) {
    std::string text = "[";
    for (size_t i = 0; i < kMaxJsonValues; ++i) absl::StrAppend(&text, value, ",");
    EXPECT_THAT(ParseJson(text + "0]", "body"), StatusIs(kInvalid, HasSubstr("1000000 values")))
        << value;
  }
}

TEST(JsonTest, CountsValuesAsTheParserDoes) {
  const char* text = R"({"a":[1,"b",null],"c":{}})";
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text, "x"));
  EXPECT_EQ(CountJsonValues(json), 6u);
  EXPECT_THAT(ParseJson(text, "x", 64, false, 6), IsOk());
  EXPECT_FALSE(ParseJson(text, "x", 64, false, 5).ok());
}

TEST(JsonTest, SaysInItsOwnWordsWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "byte 1, line 1: the text ends too early"},
      {"{\"a\":1", "the text ends too early"},
      {"\"abc", "a string is not closed, at '\"abc'"},
      {"[1,\n2,\n,3]", "byte 8, line 3: a character is out of place"},
      {"[1e999]", "a number is out of range, at '1e999'"},
      {"[-]", "a number is malformed, at '-]'"},
      {"[\"\\ud800\"]", "half of a surrogate pair"},
      {"[\"\\q\"]", "an escape is not known"},
      {"[\"\\u12\"]", "hexadecimal"},
      {"[\"a\nb\"]", "a control character that is not escaped"},
      {"[\"\xff\"]", "a string is not UTF-8"},
      {"{a:1}", "at '{a'"},
      {"\x1f\x8b\x08", "byte 1"},
      {"nul", "expected a value"}};
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(ParseJson(text, "x"),
                StatusIs(kInvalid, AllOf(HasSubstr("x: not JSON at "), HasSubstr(message),
                                         Not(HasSubstr("json.exception")))))
        << text;
  }
}

TEST(JsonTest, NamesAFileThatIsNotThere) {
  EXPECT_THAT(ReadJsonFile("/no/such/file.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/file.json")));
}

TEST(JsonTest, ADirectoryIsAnErrorAndNoFile) {
  EXPECT_FALSE(ReadJsonFile(::testing::TempDir()).ok());
}

TEST(JsonTest, RefusesAFileAboveTheLimit) {
  const std::string path = ::testing::TempDir() + "sdar_json_test_limit";
  std::ofstream(path) << "12345";
  EXPECT_THAT(ReadFile(path, 5), IsOk());
  EXPECT_THAT(ReadFile(path, 4), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(path)));
  std::remove(path.c_str());
}

TEST(JsonTest, IntegersBeyond64BitsKeepTheirDigits) {
  const std::string text =
      R"({"a":[-123456789012345678901234567890,18446744073709551616,1.5],"b":{"c":[]}})";
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text, "text"));
  EXPECT_FALSE(json["a"][0].is_number());
  EXPECT_EQ(BigIntegerDigits(json["a"][1]), "18446744073709551616");
  EXPECT_EQ(BigIntegerDigits(json["a"][2]), std::nullopt);
  EXPECT_EQ(DumpJson(json), text);
}

}  // namespace
}  // namespace sdar
