// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/structure_json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/request/request_json.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using Kind = grammar::StructureSpec::Kind;
using ::testing::HasSubstr;

Json Parse(const char* text) { return *ParseJson(text, "test"); }

// The structure that a field of a request gives.
absl::StatusOr<std::optional<grammar::StructureSpec>> Read(const char* field, const char* value) {
  RequestFields fields;
  const auto readers = RequestFieldReaders(fields);
  const absl::Status status = readers.at(field)(Parse(value));
  if (!status.ok()) return status;
  return fields.structure;
}

TEST(StructureJsonTest, AllSpellingsSayTheSame) {
  const std::pair<const char*, const char*> schemas[] = {
      {"structure", R"({"json_schema": {"type": "integer"}})"},
      {"structure", R"({"json_schema": "{\"type\":\"integer\"}"})"},
      {"response_format", R"({"type": "json_schema", "json_schema":
         {"name": "n", "strict": true, "schema": {"type": "integer"}}})"},
      {"guided_json", R"({"type": "integer"})"},
      {"json_schema", R"("{\"type\":\"integer\"}")"},
      {"structured_outputs", R"({"json": {"type": "integer"}, "disable_fallback": false})"}};
  for (const auto& [field, value] : schemas) {
    const auto spec = Read(field, value);
    ASSERT_THAT(spec, IsOk());
    ASSERT_TRUE(*spec);
    EXPECT_EQ((*spec)->kind, Kind::kJsonSchema) << field;
    EXPECT_EQ((*spec)->text, R"({"type":"integer"})") << field;
  }
  for (const auto& [field, value] : {std::pair{"structure", R"({"json_object": true})"},
                                     {"response_format", R"({"type": "json_object"})"},
                                     {"structured_outputs", R"({"json_object": true})"}}) {
    EXPECT_EQ((*Read(field, value))->kind, Kind::kJsonObject) << field;
  }
  for (const auto& [field, value] : {std::pair{"structure", R"({"regex": "a+"})"},
                                     {"guided_regex", R"("a+")"},
                                     {"regex", R"("a+")"},
                                     {"structured_outputs", R"({"regex": "a+"})"}}) {
    EXPECT_EQ((*Read(field, value))->text, "a+") << field;
  }
  for (const auto& [field, value] : {std::pair{"structure", R"({"choice": ["a", "b"]})"},
                                     {"guided_choice", R"(["a", "b"])"},
                                     {"structured_outputs", R"({"choice": ["a", "b"]})"}}) {
    EXPECT_EQ((*Read(field, value))->choices.size(), 2u) << field;
  }
}

TEST(StructureJsonTest, TextIsNoStructure) {
  EXPECT_FALSE(*Read("response_format", R"({"type": "text"})"));
  EXPECT_FALSE(*ReadTextFormat(Parse(R"({"type": "text"})")));
}

TEST(StructureJsonTest, TheFormatOfResponsesHasTheSchemaInside) {
  const auto spec =
      ReadTextFormat(Parse(R"({"type": "json_schema", "name": "n", "schema": {"const": 1}})"));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ((*spec)->text, R"({"const":1})");
}

TEST(StructureJsonTest, WhatIsNoStructureIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"structure", "3"},
      {"structure", "{}"},
      {"structure", R"({"grammar": "x"})"},
      {"structure", R"({"json_object": 1})"},
      {"structure", R"({"regex": "a", "choice": ["b"]})"},
      {"structure", R"({"choice": []})"},
      {"structure", R"({"choice": [1]})"},
      {"structure", R"({"regex": 1})"},
      {"response_format", R"({"type": "json_schema"})"},
      {"response_format", R"({"type": "grammar"})"},
      {"response_format", R"("json")"},
      {"guided_json", "3"},
      {"guided_choice", R"("a")"},
      {"structured_outputs", R"({"grammar": "x"})"}};
  for (const auto& [field, value] : cases) {
    EXPECT_THAT(Read(field, value), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")))
        << field << " " << value;
  }
}

TEST(StructureJsonTest, OneRequestHasOneStructure) {
  RequestFields fields;
  const auto readers = RequestFieldReaders(fields);
  EXPECT_THAT(readers.at("guided_regex")(Parse(R"("a")")), IsOk());
  EXPECT_THAT(readers.at("response_format")(Parse(R"({"type": "json_object"})")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  EXPECT_THAT(readers.at("response_format")(Parse(R"({"type": "text"})")), IsOk());
}

}  // namespace
}  // namespace sdar
