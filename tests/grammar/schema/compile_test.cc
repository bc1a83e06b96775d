// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/compile.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/grammar/grammar_walk.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

void ExpectTexts(const std::string& schema, const std::vector<std::string>& valid,
                 const std::vector<std::string>& invalid) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(schema, "schema"));
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton, CompileJsonSchema(json));
  for (const std::string& text : valid) EXPECT_TRUE(AcceptsText(automaton, text)) << text;
  for (const std::string& text : invalid) EXPECT_FALSE(AcceptsText(automaton, text)) << text;
}

TEST(CompileTest, PropertiesComeInAnyOrderAndOnce) {
  ExpectTexts(
      R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}},
                  "required": ["a"], "additionalProperties": false})",
      {R"({"a": 1})", R"({"b":null,"a":-2})", "{\n  \"a\": 1,\n  \"b\": null\n}"},
      {"{}", R"({"b": null})", R"({"a": 1, "a": 2})", R"({"a": 1, "c": 2})", R"({"a": 1,})"});
}

TEST(CompileTest, RepeatedKeysAreNotCountedTwice) {
  ExpectTexts(R"({"type": "object", "minProperties": 2})", {R"({"a": 1, "b": 2})"},
              {R"({"a": 1})", R"({"a": 1, "a": 2})", R"({"a": 1, "\u0061": 2})"});
}

TEST(CompileTest, AlternativesRunSideBySide) {
  ExpectTexts(R"({"anyOf": [{"properties": {"k": {"const": 1}, "x": {"type": "string"}},
                             "required": ["k", "x"]},
                            {"properties": {"k": {"const": 2}, "x": {"type": "number"}},
                             "required": ["k", "x"]}], "type": "object"})",
              {R"({"x": "s", "k": 1})", R"({"x": 5, "k": 2})"},
              {R"({"x": "s", "k": 2})", R"({"x": 5, "k": 1})"});
}

TEST(CompileTest, OneOfExcludesWhatTwoAccept) {
  ExpectTexts(R"({"oneOf": [{"type": "integer"}, {"minimum": 2}]})", {"1", "2.5", "\"x\""},
              {"3", "1.5"});
  ExpectTexts(R"({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})",
              {R"({"a": 1})", R"({"b": 1, "c": 2})"}, {"{}", R"({"a": 1, "b": 2})"});
}

TEST(CompileTest, NotIsTheExactRest) {
  ExpectTexts(R"({"not": {"type": ["string", "object"]}})", {"1", "[]", "null"}, {"\"a\"", "{}"});
  ExpectTexts(R"({"type": "object", "not": {"additionalProperties": {"type": "string"}}})",
              {R"({"a": 1})", R"({"a": "x", "b": null})"},
              {"{}", R"({"a": "x"})", R"({"a": 1, "a": "x"})"});
  ExpectTexts(R"({"type": "array", "not": {"items": {"type": "integer"}}})", {"[1, \"a\"]", "[{}]"},
              {"[]", "[1, 2]"});
  ExpectTexts(R"({"type": "string", "not": {"pattern": "^a"}})", {"\"b\"", "\"\""}, {"\"ab\""});
}

TEST(CompileTest, ConditionsAndDependenciesHold) {
  ExpectTexts(R"({"type": "object", "if": {"properties": {"k": {"const": 1}}, "required": ["k"]},
                  "then": {"required": ["x"]}, "else": {"required": ["y"]}})",
              {R"({"k": 1, "x": 0})", R"({"k": 2, "y": 0})", R"({"y": 1})"},
              {R"({"k": 1, "y": 0})", R"({"k": 2, "x": 0})", "{}"});
  ExpectTexts(R"({"type": "object", "dependentRequired": {"a": ["b"]},
                  "dependentSchemas": {"c": {"properties": {"b": {"type": "null"}}}}})",
              {"{}", R"({"b": 1})", R"({"b": 1, "a": 2})", R"({"b": null, "c": 1})"},
              {R"({"a": 1})", R"({"c": 1, "b": 1})"});
}

TEST(CompileTest, NumbersCountByValue) {
  ExpectTexts(R"({"enum": [1, 2.50]})", {"1", "1.0", "2.5"}, {"2", "11", "2.51"});
  ExpectTexts(R"({"type": "integer"})", {"7", "7.0"}, {"7.5"});
  ExpectTexts(R"({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"})", {"7"},
              {"7.0"});
  ExpectTexts(R"({"type": "integer", "multipleOf": 3, "not": {"multipleOf": 2}})", {"3", "-9"},
              {"6", "0", "4"});
}

TEST(CompileTest, ListedValuesHoldObjectsInAnyOrder) {
  ExpectTexts(R"({"const": {"a": [1, "x"], "b": null}})",
              {R"({"b": null, "a": [1, "x"]})", R"({"a": [1.0, "x"], "b": null})"},
              {R"({"a": [1, "x"]})", R"({"a": [1], "b": null})"});
}

TEST(CompileTest, ArraysAreCountedAndContain) {
  ExpectTexts(R"({"type": "array", "contains": {"type": "string"}, "minContains": 2,
                  "maxContains": 3, "maxItems": 4})",
              {R"(["a", 1, "b"])", R"(["a", "b", "c", 1])"},
              {"[]", R"(["a", 1])", R"(["a", "b", "c", "d"])", R"([1, 2, 3, "a", "b"])"});
  ExpectTexts(R"({"prefixItems": [{"type": "null"}], "items": false, "type": "array"})",
              {"[]", "[null]"}, {"[1]", "[null, null]"});
}

TEST(CompileTest, UniqueStringsDiffer) {
  ExpectTexts(R"({"type": "array", "items": {"enum": ["a", "b", null]}, "uniqueItems": true})",
              {"[]", R"(["a", "b"])", R"([null, "b", "a"])"},
              {R"(["a", "a"])", R"(["a", "\u0061"])", "[null, null]"});
}

TEST(CompileTest, ReferencesLeadToPointersAnchorsAndIds) {
  ExpectTexts(R"({"$id": "http://x.y/root", "$defs": {"a~b": {"$anchor": "n", "type": "integer"},
                  "c": {"$id": "inner", "$defs": {"d": {"type": "null"}}, "$ref": "#/$defs/d"}},
                  "prefixItems": [{"$ref": "#/$defs/a~0b"}, {"$ref": "#n"}, {"$ref": "inner"}],
                  "type": "array", "minItems": 3})",
              {"[1, 2, null]"}, {"[1, null, null]", "[1, 2, 3]"});
}

TEST(CompileTest, LengthsCountCharacters) {
  ExpectTexts(R"({"type": "string", "minLength": 2, "maxLength": 65535})",
              {"\"\u20ac\u20ac\"", "\"\\ud83d\\ude00a\""}, {"\"\u20ac\"", "\"\\ud83d\\ude00\""});
}

TEST(CompileTest, ChoicesRegexesAndObjectsAreTexts) {
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton choice, ChoiceAutomaton({"a", "ab", "\u20ac"}));
  EXPECT_TRUE(AcceptsText(choice, "ab"));
  EXPECT_FALSE(AcceptsText(choice, "\xe2\x82"));
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton regex, RegexAutomaton("[a-c]{2}"));
  EXPECT_TRUE(AcceptsText(regex, "cb"));
  EXPECT_FALSE(AcceptsText(regex, "cbb"));
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton object, JsonObjectAutomaton());
  EXPECT_TRUE(AcceptsText(object, R"({"a": [{"b": null}]})"));
  EXPECT_FALSE(AcceptsText(object, "[]"));
}

TEST(CompileTest, WhiteSpaceEnds) {
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton object, JsonObjectAutomaton());
  EXPECT_FALSE(AcceptsText(object, "{" + std::string(100, ' ') + "}"));
  EXPECT_FALSE(AcceptsText(object, "{\n\n}"));
  EXPECT_FALSE(AcceptsText(object, " {}"));
  EXPECT_FALSE(AcceptsText(object, "{} "));
}

}  // namespace
}  // namespace sdar::grammar
