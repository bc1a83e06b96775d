// SPDX-License-Identifier: Apache-2.0
// From formulas to the grammar that is walked: all places that a text can reach, without those that
// no text can complete.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "runtime/grammar/automaton/json_grammar.h"
#include "runtime/grammar/schema/expander.h"

namespace sdar::grammar {

// Used once. What it refers to must outlive it.
class Assembler {
 public:
  Assembler(Expander& expander, const GrammarLimits& limits)
      : expander_(expander), limits_(limits) {}

  // The grammar of the values that satisfy `root`. InvalidArgument where there are none.
  absl::StatusOr<JsonGrammar> Assemble(FormulaId root);

 private:
  struct Class {
    LanguageId names = kNoLanguage;
    FormulaId value = kEverything;
    uint32_t wants = 0;  // bits: of the shape's `some` that its names may satisfy
  };

  NodeIndex NodeOf(FormulaId formula);
  int DfaOf(LanguageId language);
  int NumberDfaOf(LanguageId language);
  absl::Status AddNode(NodeIndex index, FormulaId formula);
  absl::StatusOr<int> AddObject(const std::shared_ptr<const ObjectShape>& shape);
  absl::StatusOr<std::vector<Class>> ClassesOf(const ObjectShape& shape);
  absl::Status AddClasses(const ObjectShape& shape, ObjectRule& rule);
  absl::Status AddFewNames(LanguageId names, FormulaId value, ObjectRule& rule, bool& few);
  void AddImplied(const ObjectShape& shape, ObjectRule& rule);
  absl::StatusOr<int> AddArray(const std::shared_ptr<const ArrayShape>& shape);
  absl::Status BuildGraph(const ArrayShape& shape, ArrayRule& rule);
  absl::Status CheckUnique(const ArrayRule& rule);

  Expander& expander_;
  const GrammarLimits& limits_;
  JsonGrammar grammar_;
  std::vector<FormulaId> formulas_;  // of the nodes
  absl::flat_hash_map<FormulaId, NodeIndex> nodes_;
  absl::flat_hash_map<LanguageId, int> strings_;
  absl::flat_hash_map<LanguageId, int> numbers_;
  absl::flat_hash_map<const ObjectShape*, int> objects_;
  absl::flat_hash_map<const ArrayShape*, int> arrays_;
  std::vector<std::shared_ptr<const ObjectShape>> kept_objects_;  // their addresses are keys
  std::vector<std::shared_ptr<const ArrayShape>> kept_arrays_;
};

// Finds the shortest values, and takes away what has none. InvalidArgument: more work than
// `limits` allow.
absl::Status Prune(JsonGrammar& grammar, const GrammarLimits& limits);

}  // namespace sdar::grammar
