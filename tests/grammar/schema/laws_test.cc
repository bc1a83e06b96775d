// SPDX-License-Identifier: Apache-2.0
// No dead end, and distances that are exact, on random walks.
#include <string>

#include "gtest/gtest.h"

#include "runtime/grammar/schema/compile.h"
#include "tests/grammar/grammar_walk.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

constexpr const char* kSchemas[] = {
    R"({})",
    R"({"type": "object", "minProperties": 3})",
    R"({"type": "object", "minProperties": 2, "maxProperties": 2, "propertyNames": {"pattern": "^[ab]{1,9}$"}})",
    R"({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": -12, "maximum": 305}}, "maxProperties": 2})",
    R"({"type": "object", "not": {"additionalProperties": {"type": "string"}}})",
    R"({"type": "object", "not": {"patternProperties": {"^x": {"type": "string"}, "y$": {"type": "null"}}}, "minProperties": 2})",
    R"({"type": "object", "dependentRequired": {"a": ["b", "c"], "c": ["a"]}, "minProperties": 1, "additionalProperties": false, "properties": {"a": {}, "b": {}, "c": {}, "a\nlong one": {}}})",
    R"({"type": "object", "dependentRequired": {"a": ["b", "c"], "c": ["a"], "d": ["b"]}, "minProperties": 1, "additionalProperties": false, "properties": {"b": {}, "c": {}, "d": {"type": "null"}}})",
    R"({"anyOf": [{"type": "object", "required": ["kk", "x"], "properties": {"kk": {"const": "one"}}}, {"type": "object", "required": ["kk"], "properties": {"kk": {"const": "another"}}}]})",
    R"({"type": "array", "items": {"enum": ["a", "bb", "\u20ac", null, true]}, "uniqueItems": true, "minItems": 3})",
    R"({"type": "array", "items": {"type": "string"}, "uniqueItems": true, "minItems": 4})",
    R"({"type": "array", "contains": {"type": "string", "minLength": 4}, "minContains": 2, "maxContains": 3})",
    R"({"type": "array", "prefixItems": [{"type": "null"}, {"enum": ["\ud83d\ude00", "\""]}], "minItems": 4, "maxItems": 6})",
    R"({"$defs": {"n": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["next"], "additionalProperties": false}}, "$ref": "#/$defs/n"})",
    R"({"type": "string", "format": "date"})",
    R"({"type": "string", "minLength": 3, "maxLength": 5})",
    R"({"enum": [1.5, 100, "a\u0001b", {"a": [1, {"b": 2}]}]})",
};

TEST(LawsTest, WalksHaveNoDeadEndAndExactDistances) {
  for (const char* schema : kSchemas) {
    SDAR_ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(schema, "schema"));
    SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton, CompileJsonSchema(json));
    for (uint32_t seed = 0; seed < 6; ++seed) {
      EXPECT_EQ(BrokenLaw(automaton, seed, 60), "") << schema;
    }
  }
}

TEST(LawsTest, TextsOfRegularLanguagesToo) {
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton, RegexAutomaton("(a|\u20ac{2}|\\d+x)*(end)?."));
  for (uint32_t seed = 0; seed < 6; ++seed) EXPECT_EQ(BrokenLaw(automaton, seed, 40), "");
}

TEST(LawsTest, FreeStringsSayHowManyCharactersMayFollow) {
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton,
                            CompileJsonSchema({{"type", "string"}, {"maxLength", 5}}));
  const StateId open = automaton.Next(automaton.start(), '"');
  EXPECT_EQ(automaton.FreeCharacters(automaton.start()), 0);
  EXPECT_EQ(automaton.FreeCharacters(open), 5);
  EXPECT_EQ(automaton.FreeCharacters(automaton.Floating(automaton.Next(open, 'a'))), 4);
}

TEST(LawsTest, DeepTextsNeedNoRecursion) {
  SDAR_ASSERT_OK_AND_ASSIGN(Automaton automaton, CompileJsonSchema(Json::object()));
  StateId state = automaton.start();
  for (int i = 0; i < 100'000; ++i) state = automaton.Next(state, '[');
  EXPECT_EQ(automaton.Distance(state), 100'000);
}

}  // namespace
}  // namespace sdar::grammar
