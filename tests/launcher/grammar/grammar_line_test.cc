// SPDX-License-Identifier: Apache-2.0
#include "launcher/grammar/grammar_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class GrammarLineTest : public ::testing::Test {
 protected:
  absl::StatusOr<Json> Answer(absl::string_view line) {
    static const GrammarLine* const grammar_line =
        new GrammarLine(*GrammarLine::Load(SDAR_SOURCE_DIR "/models/sdar-tiny"));
    return grammar_line->Answer(line, request_);
  }

  Json request_;
};

TEST_F(GrammarLineTest, SchemaSaysWhichTextsItAccepts) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const Json result,
      Answer(R"({"id": "a", "json_schema": {"type": "integer"}, "texts": ["1", "x"]})"));
  EXPECT_EQ(result["id"], "a");
  EXPECT_TRUE(result["error"].is_null());
  EXPECT_EQ(DumpJson(result["accepts"]), "[true,false]");
  EXPECT_TRUE(result["compile_ms"].is_number());
}

TEST_F(GrammarLineTest, ChoiceAndRegexAreTextsOfTheirOwn) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json choice, Answer(R"({"choice": ["a"], "texts": ["a", "b"]})"));
  EXPECT_EQ(DumpJson(choice["accepts"]), "[true,false]");
  SDAR_ASSERT_OK_AND_ASSIGN(const Json regex, Answer(R"({"regex": "a+", "texts": ["aa", "b"]})"));
  EXPECT_EQ(DumpJson(regex["accepts"]), "[true,false]");
}

TEST_F(GrammarLineTest, RefusalsNameTheirPlace) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json result,
                            Answer(R"({"json_schema": {"items": {"type": "file"}}})"));
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("file"));
  EXPECT_EQ(result["error"]["pointer"], "#/items");
}

TEST_F(GrammarLineTest, LinesThatAskNothingAreErrors) {
  EXPECT_THAT(Answer("[1]"), StatusIs(kInvalid, HasSubstr("object")));
  EXPECT_THAT(Answer(R"({"choice": ["a"], "texts": [1]})"), StatusIs(kInvalid, HasSubstr("texts")));
}

}  // namespace
}  // namespace sdar
