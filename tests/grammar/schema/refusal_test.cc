// SPDX-License-Identifier: Apache-2.0
// What cannot be had exactly, or costs too much, is refused with the place.
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "runtime/grammar/schema/compile.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

using ::testing::HasSubstr;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::Status Refused(const std::string& schema) {
  const absl::StatusOr<Json> json = ParseJson(schema, "schema", 128);
  return json.ok() ? CompileJsonSchema(*json).status() : json.status();
}

TEST(RefusalTest, ThePointerLeadsToTheSchemaAtFault) {
  const absl::Status status =
      Refused(R"({"properties": {"a/b": {"items": {"$ref": "http://other/"}}}})");
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("$ref: http://other/")));
  EXPECT_EQ(PointerOf(status), "#/properties/a~1b/items");
}

TEST(RefusalTest, WhatNoValueSatisfiesIsSaid) {
  EXPECT_THAT(Refused("false"), StatusIs(kInvalid, HasSubstr("no value")));
  EXPECT_THAT(Refused(R"({"type": "string", "allOf": [{"type": "null"}]})"),
              StatusIs(kInvalid, HasSubstr("no value")));
  EXPECT_THAT(
      Refused(R"({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}})"),
      StatusIs(kInvalid, HasSubstr("no value")));
}

TEST(RefusalTest, KeywordsOfTheWrongKindAreNamed) {
  EXPECT_THAT(Refused(R"({"type": "any"})"), StatusIs(kInvalid, HasSubstr("any")));
  EXPECT_THAT(Refused(R"({"required": true})"), StatusIs(kInvalid, HasSubstr("required")));
  EXPECT_THAT(Refused(R"({"minItems": -1})"), StatusIs(kInvalid, HasSubstr("minItems")));
  EXPECT_THAT(Refused(R"({"pattern": "("})"), StatusIs(kInvalid, HasSubstr("pattern")));
  EXPECT_THAT(Refused("[]"), StatusIs(kInvalid, HasSubstr("schema")));
}

TEST(RefusalTest, AReferenceToItselfEnds) {
  EXPECT_THAT(Refused(R"({"$ref": "#"})"), StatusIs(kInvalid, HasSubstr("itself")));
  EXPECT_THAT(Refused(R"({"allOf": [{"anyOf": [{"$ref": "#"}]}]})"),
              StatusIs(kInvalid, HasSubstr("itself")));
}

TEST(RefusalTest, CombinationsThatExplodeAreBounded) {
  std::string all;
  for (int i = 0; i < 40; ++i) {
    absl::StrAppend(&all, i == 0 ? "" : ",", R"({"anyOf": [{"required": ["a)", i,
                    R"("]}, {"required": ["b)", i, R"("]}]})");
  }
  EXPECT_THAT(Refused(absl::StrCat(R"({"type": "object", "allOf": [)", all, "]}")),
              StatusIs(kInvalid, HasSubstr("too ")));
}

TEST(RefusalTest, LongChainsOfReferencesAreBounded) {
  std::string defs;
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&defs, i == 0 ? "" : ",", "\"d", i, R"(": {"$ref": "#/$defs/d)", i + 1, "\"}");
  }
  EXPECT_THAT(Refused(absl::StrCat(R"({"$ref": "#/$defs/d0", "$defs": {)", defs, "}}")),
              StatusIs(kInvalid, HasSubstr("nest too deeply")));
}

}  // namespace
}  // namespace sdar::grammar
