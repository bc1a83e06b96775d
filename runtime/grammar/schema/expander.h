// SPDX-License-Identifier: Apache-2.0
// What formulas say of values, one level deep.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"

#include "runtime/grammar/schema/expansion.h"
#include "runtime/grammar/schema/grammar_limits.h"
#include "runtime/grammar/schema/keyword_reader.h"
#include "runtime/grammar/schema/schema_document.h"
#include "runtime/grammar/schema/shape_algebra.h"

namespace sdar::grammar {

using SharedExpansion = std::shared_ptr<const Expansion>;

// Not thread-safe. The document and the limits must outlive it.
class Expander {
 public:
  Expander(SchemaDocument& document, const GrammarLimits& limits);

  FormulaTable& formulas() { return formulas_; }
  LanguagePool& languages() { return languages_; }
  // Errors carry the pointer of the schema at fault.
  absl::StatusOr<SharedExpansion> Expand(FormulaId formula);

 private:
  absl::StatusOr<Expansion> ExpandNew(FormulaId formula);
  absl::StatusOr<Expansion> ExpandSchema(const Json& schema);
  absl::StatusOr<Expansion> ExpandKeywords(const Json& schema);
  absl::Status AddReferences(const Json& schema, Expansion& result);
  absl::Status AddAll(const Json& schema, Expansion& result);
  absl::Status AddAny(const Json& schema, Expansion& result);
  absl::Status AddOne(const Json& schema, Expansion& result);
  absl::Status AddCondition(const Json& schema, Expansion& result);
  absl::Status AddDependencies(const Json& schema, Expansion& result);
  absl::Status AddDependency(const Json& schema, const char* keyword, const std::string& name,
                             const Json& dependency, Expansion& result);
  absl::StatusOr<Expansion> Only(const Expansion& context, const std::vector<FormulaId>& formulas,
                                 size_t chosen);

  absl::StatusOr<Expansion> Intersect(const Expansion& a, const Expansion& b);
  absl::StatusOr<Expansion> Union(Expansion a, const Expansion& b);
  // What is in `from` but not in `a`.
  absl::StatusOr<Expansion> Subtract(const Expansion& from, const Expansion& a);
  absl::Status Narrow(FormulaId formula, Expansion& result);
  bool IsKnownEmpty(FormulaId formula);
  FormulaId FormulaOf(const Json& schema) { return formulas_.Schema(document_.Canonical(&schema)); }

  SchemaDocument& document_;
  const GrammarLimits& limits_;
  FormulaTable formulas_;
  LanguagePool languages_;
  ShapeAlgebra algebra_;
  KeywordReader keywords_;
  absl::flat_hash_map<FormulaId, SharedExpansion> expanded_;
  absl::flat_hash_set<FormulaId> expanding_;
  int depth_ = 0;
  int probe_depth_ = 0;
};

}  // namespace sdar::grammar
