// SPDX-License-Identifier: Apache-2.0
#include "bench/structure/structure_cases.h"

#include <utility>

namespace sdar {
namespace {

using grammar::StructureSpec;

constexpr char kPerson[] = R"({"type": "object", "additionalProperties": false,
  "properties": {"name": {"type": "string", "maxLength": 40}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
                 "email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"type": "string"}}},
  "required": ["name", "age", "email", "tags"]})";
constexpr char kPersonAnswer[] =
    R"({"name": "Ada Lovelace", "age": 36, "email": "ada@example.org", "tags": ["mathematics", "engines", "poetry"]})";

constexpr char kTree[] = R"({"$defs": {"node": {"type": "object", "additionalProperties": false,
  "properties": {"value": {"type": "number"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
  "required": ["value", "children"]}}, "$ref": "#/$defs/node"})";
constexpr char kTreeAnswer[] =
    R"({"value": 1, "children": [{"value": 2.5, "children": []}, {"value": -3, "children": [{"value": 4, "children": []}]}]})";

constexpr char kShapes[] = R"({"type": "array", "minItems": 2, "items": {"anyOf": [
  {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
   "required": ["kind", "radius"], "additionalProperties": false},
  {"type": "object", "properties": {"kind": {"const": "box"}, "width": {"type": "number"}, "height": {"type": "number"}},
   "required": ["kind", "width", "height"], "additionalProperties": false}]}})";
constexpr char kShapesAnswer[] =
    R"([{"kind": "circle", "radius": 1.5}, {"kind": "box", "width": 20, "height": 3}, {"kind": "circle", "radius": 7}])";

constexpr char kNamed[] =
    R"({"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 3})";
constexpr char kNamedAnswer[] =
    R"({"is_urgent": true, "is_public": false, "needs_review": true, "is_archived": false})";

constexpr char kAnyAnswer[] =
    R"({"title": "A list of things", "items": [{"id": 1, "done": false}, {"id": 2, "done": true}], "next": null})";

constexpr char kCallAnswer[] = R"(
{"name": "get_weather", "arguments": {"city": "Santiago de Chile", "unit": "celsius"}}
)";
constexpr char kWeather[] = R"({"type": "object", "additionalProperties": false,
  "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["city", "unit"]})";

StructureCase Case(std::string name, StructureSpec::Kind kind, std::string text,
                   std::string answer) {
  StructureCase made;
  made.name = std::move(name);
  made.spec.kind = kind;
  made.spec.text = std::move(text);
  made.answer = std::move(answer);
  return made;
}

}  // namespace

std::vector<StructureCase> MakeStructureCases() {
  using Kind = StructureSpec::Kind;
  std::vector<StructureCase> cases;
  cases.push_back(Case("any object", Kind::kJsonObject, "", kAnyAnswer));
  cases.push_back(Case("a person", Kind::kJsonSchema, kPerson, kPersonAnswer));
  cases.push_back(Case("a tree", Kind::kJsonSchema, kTree, kTreeAnswer));
  cases.push_back(Case("a list of two kinds", Kind::kJsonSchema, kShapes, kShapesAnswer));
  cases.push_back(Case("names that differ", Kind::kJsonSchema, kNamed, kNamedAnswer));
  cases.push_back(Case("an expression", Kind::kRegex,
                       "(\\w+ ){3,12}on [12]\\d{3}-(0\\d|1[0-2])-[0-3]\\d\\.",
                       "The treaty was signed by both sides on 1848-02-24."));
  StructureCase call = Case("a tool's call", Kind::kTools, "", kCallAnswer);
  call.spec.tools = {{"get_weather", kWeather}, {"get_time", R"({"type": "object"})"}};
  cases.push_back(std::move(call));
  return cases;
}

}  // namespace sdar
