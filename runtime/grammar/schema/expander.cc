// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/expander.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar::grammar {
namespace {

// Gives a status that has no pointer yet the one of `place`.
absl::Status Placed(const absl::Status& status, const SchemaDocument& document, const Json* place) {
  if (status.ok() || !PointerOf(status).empty()) return status;
  return ErrorAt(document.Pointer(place), status.message());
}

}  // namespace

Expander::Expander(SchemaDocument& document, const GrammarLimits& limits)
    : document_(document),
      limits_(limits),
      languages_(limits.regular),
      algebra_(formulas_, languages_, limits),
      keywords_(document, formulas_, languages_, limits) {}

absl::StatusOr<SharedExpansion> Expander::Expand(FormulaId formula) {
  if (const auto found = expanded_.find(formula); found != expanded_.end()) return found->second;
  if (expanding_.contains(formula)) {
    return absl::InvalidArgumentError("$ref: the schema refers to itself without an end");
  }
  if (depth_ >= limits_.max_depth) {
    return absl::InvalidArgumentError("references and combined schemas nest too deeply");
  }
  if (formulas_.size() > limits_.max_nodes) {
    return absl::InvalidArgumentError("the schema combines into too many places");
  }
  SDAR_RETURN_IF_ERROR(algebra_.Spend(1));
  expanding_.insert(formula);
  ++depth_;
  absl::StatusOr<Expansion> expansion = ExpandNew(formula);
  --depth_;
  expanding_.erase(formula);
  if (!expansion.ok()) {
    const Json* place = formulas_.Get(formula).schema;
    return place == nullptr ? expansion.status() : Placed(expansion.status(), document_, place);
  }
  auto shared = std::make_shared<const Expansion>(*std::move(expansion));
  expanded_[formula] = shared;
  return shared;
}

absl::StatusOr<Expansion> Expander::ExpandNew(FormulaId id) {
  const Formula formula = formulas_.Get(id);
  switch (formula.kind) {
    case Formula::kTrue:
      return keywords_.Anything();
    case Formula::kFalse:
      return Expansion();
    case Formula::kSchema:
      return ExpandSchema(*formula.schema);
    case Formula::kNot: {
      SDAR_ASSIGN_OR_RETURN(const SharedExpansion inner, Expand(formula.members[0]));
      SDAR_ASSIGN_OR_RETURN(const Expansion anything, keywords_.Anything());
      return Subtract(anything, *inner);
    }
    case Formula::kAll:
      break;
  }
  SDAR_ASSIGN_OR_RETURN(const SharedExpansion first, Expand(formula.members[0]));
  Expansion result = *first;
  for (size_t i = 1; i < formula.members.size(); ++i) {
    SDAR_RETURN_IF_ERROR(Narrow(formula.members[i], result));
  }
  return result;
}

absl::Status Expander::Narrow(FormulaId formula, Expansion& result) {
  if (formula == kEverything) return absl::OkStatus();
  const Formula& named = formulas_.Get(formula);
  if (named.kind == Formula::kNot && !expanded_.contains(formula)) {
    SDAR_ASSIGN_OR_RETURN(const SharedExpansion inner, Expand(named.members[0]));
    SDAR_ASSIGN_OR_RETURN(result, Subtract(result, *inner));
    return absl::OkStatus();
  }
  SDAR_ASSIGN_OR_RETURN(const SharedExpansion other, Expand(formula));
  SDAR_ASSIGN_OR_RETURN(result, Intersect(result, *other));
  return absl::OkStatus();
}

absl::StatusOr<Expansion> Expander::ExpandSchema(const Json& schema) {
  if (!schema.is_object()) {
    return absl::InvalidArgumentError("a schema is an object, true or false");
  }
  if (document_.draft() < Draft::k2019 && schema.contains("$ref")) {
    Expansion result;
    SDAR_ASSIGN_OR_RETURN(result, keywords_.Anything());
    SDAR_RETURN_IF_ERROR(AddReferences(schema, result));
    return result;
  }
  for (const char* keyword : {"$dynamicRef", "$recursiveRef", "unevaluatedProperties",
                              "unevaluatedItems", "extends", "disallow", "divisibleBy"}) {
    if (!schema.contains(keyword)) continue;
    const bool old = keyword[0] == 'e' || keyword[0] == 'd';
    if (old || (document_.draft() < Draft::k2019)) continue;  // no keyword of these drafts
    if (keyword[0] == 'u' && schema[keyword] == true) continue;
    return absl::InvalidArgumentError(absl::StrCat(keyword, " is not supported"));
  }
  return ExpandKeywords(schema);
}

absl::StatusOr<Expansion> Expander::ExpandKeywords(const Json& schema) {
  SDAR_ASSIGN_OR_RETURN(Expansion result, keywords_.Read(schema));
  if (KeywordReader::HasValues(schema)) {
    SDAR_ASSIGN_OR_RETURN(const Expansion values, keywords_.ReadValues(schema));
    SDAR_ASSIGN_OR_RETURN(result, Intersect(result, values));
  }
  SDAR_RETURN_IF_ERROR(AddReferences(schema, result));
  SDAR_RETURN_IF_ERROR(AddAll(schema, result));
  if (schema.contains("not")) {
    SDAR_RETURN_IF_ERROR(Narrow(formulas_.Not(FormulaOf(schema["not"])), result));
  }
  SDAR_RETURN_IF_ERROR(AddCondition(schema, result));
  SDAR_RETURN_IF_ERROR(AddDependencies(schema, result));
  SDAR_RETURN_IF_ERROR(AddOne(schema, result));
  SDAR_RETURN_IF_ERROR(AddAny(schema, result));
  if (const auto names = schema.find("propertyNames");
      names != schema.end() && document_.draft() > Draft::k4 && !result.objects.empty()) {
    SDAR_ASSIGN_OR_RETURN(const SharedExpansion expanded, Expand(FormulaOf(*names)));
    ObjectShape shape;
    if (expanded->strings != kNoLanguage) shape.others.push_back({expanded->strings, kEverything});
    const auto is_empty = [this](FormulaId id) { return IsKnownEmpty(id); };
    SDAR_ASSIGN_OR_RETURN(
        result.objects,
        algebra_.Intersect(result.objects, {std::make_shared<const ObjectShape>(shape)}, is_empty));
  }
  return result;
}

absl::Status Expander::AddReferences(const Json& schema, Expansion& result) {
  if (!schema.contains("$ref")) return absl::OkStatus();
  if (!schema["$ref"].is_string()) return absl::InvalidArgumentError("$ref is not a string");
  SDAR_ASSIGN_OR_RETURN(const Json* target,
                        document_.Resolve(&schema, schema["$ref"].get<std::string>()));
  return Narrow(FormulaOf(*target), result);
}

absl::Status Expander::AddAll(const Json& schema, Expansion& result) {
  if (!schema.contains("allOf")) return absl::OkStatus();
  if (!schema["allOf"].is_array()) return absl::InvalidArgumentError("allOf is not a list");
  for (const Json& member : schema["allOf"]) {
    SDAR_RETURN_IF_ERROR(Narrow(FormulaOf(member), result));
  }
  return absl::OkStatus();
}

absl::Status Expander::AddAny(const Json& schema, Expansion& result) {
  if (!schema.contains("anyOf")) return absl::OkStatus();
  if (!schema["anyOf"].is_array()) return absl::InvalidArgumentError("anyOf is not a list");
  Expansion any;
  for (const Json& member : schema["anyOf"]) {
    Expansion narrowed = result;
    SDAR_RETURN_IF_ERROR(Narrow(FormulaOf(member), narrowed));
    SDAR_ASSIGN_OR_RETURN(any, Union(std::move(any), narrowed));
  }
  result = std::move(any);
  return absl::OkStatus();
}

// What satisfies the chosen formula and none of the others.
absl::StatusOr<Expansion> Expander::Only(const Expansion& context,
                                         const std::vector<FormulaId>& formulas, size_t chosen) {
  Expansion result = context;
  SDAR_RETURN_IF_ERROR(Narrow(formulas[chosen], result));
  for (size_t i = 0; i < formulas.size(); ++i) {
    if (i == chosen || result.IsNothing()) continue;
    SDAR_RETURN_IF_ERROR(Narrow(formulas_.Not(formulas[i]), result));
  }
  return result;
}

absl::Status Expander::AddOne(const Json& schema, Expansion& result) {
  if (!schema.contains("oneOf")) return absl::OkStatus();
  if (!schema["oneOf"].is_array()) return absl::InvalidArgumentError("oneOf is not a list");
  std::vector<FormulaId> formulas;
  for (const Json& member : schema["oneOf"]) formulas.push_back(FormulaOf(member));
  Expansion one;
  for (size_t i = 0; i < formulas.size(); ++i) {
    absl::StatusOr<Expansion> only = Only(result, formulas, i);
    if (!only.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("oneOf: ", only.status().message()));
    }
    SDAR_ASSIGN_OR_RETURN(one, Union(std::move(one), *only));
  }
  result = std::move(one);
  return absl::OkStatus();
}

absl::Status Expander::AddCondition(const Json& schema, Expansion& result) {
  if (document_.draft() < Draft::k7 || !schema.contains("if")) return absl::OkStatus();
  if (!schema.contains("then") && !schema.contains("else")) return absl::OkStatus();
  const FormulaId condition = FormulaOf(schema["if"]);
  Expansion yes = result;
  SDAR_RETURN_IF_ERROR(Narrow(condition, yes));
  if (schema.contains("then")) SDAR_RETURN_IF_ERROR(Narrow(FormulaOf(schema["then"]), yes));
  SDAR_RETURN_IF_ERROR(Narrow(formulas_.Not(condition), result));
  if (schema.contains("else")) SDAR_RETURN_IF_ERROR(Narrow(FormulaOf(schema["else"]), result));
  SDAR_ASSIGN_OR_RETURN(result, Union(std::move(yes), result));
  return absl::OkStatus();
}

absl::Status Expander::AddDependencies(const Json& schema, Expansion& result) {
  for (const char* keyword : {"dependencies", "dependentSchemas"}) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) continue;
    if (keyword[9] == 'S' && document_.draft() < Draft::k2019) continue;
    if (keyword[9] != 'S' && document_.draft() >= Draft::k2019) continue;
    if (!found->is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(keyword, " is not an object"));
    }
    for (const auto& [name, dependency] : found->items()) {
      if (dependency.is_array() || dependency.is_string()) continue;  // KeywordReader's
      SDAR_RETURN_IF_ERROR(AddDependency(schema, keyword, name, dependency, result));
    }
  }
  return absl::OkStatus();
}

// Either without the property, or with it and the schema.
absl::Status Expander::AddDependency(const Json& schema, const char* keyword,
                                     const std::string& name, const Json& dependency,
                                     Expansion& result) {
  const Json* place = &schema[keyword];
  const FormulaId with = formulas_.Schema(
      document_.Keep({{"type", "object"}, {"required", Json::array({name})}}, place));
  const FormulaId value = FormulaOf(dependency);
  if (value == kEverything) return absl::OkStatus();
  Expansion present = result;
  SDAR_RETURN_IF_ERROR(Narrow(with, present));
  SDAR_RETURN_IF_ERROR(Narrow(value, present));
  SDAR_RETURN_IF_ERROR(Narrow(formulas_.Not(with), result));
  SDAR_ASSIGN_OR_RETURN(result, Union(std::move(present), result));
  return absl::OkStatus();
}

}  // namespace sdar::grammar
