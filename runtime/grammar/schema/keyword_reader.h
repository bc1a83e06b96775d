// SPDX-License-Identifier: Apache-2.0
// The keywords that look at a value itself: what each kind of value must be.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "runtime/grammar/regular/numbers.h"
#include "runtime/grammar/schema/expansion.h"
#include "runtime/grammar/schema/grammar_limits.h"
#include "runtime/grammar/schema/schema_document.h"

namespace sdar::grammar {

// Not thread-safe. What it refers to must outlive it.
class KeywordReader {
 public:
  KeywordReader(SchemaDocument& document, FormulaTable& formulas, LanguagePool& languages,
                const GrammarLimits& limits)
      : document_(document), formulas_(formulas), languages_(languages), limits_(limits) {}

  // What type, enum, const and the keywords for single kinds of values say together, but that the
  // values of enum and const are all the kinds and are still to be narrowed by the rest.
  absl::StatusOr<Expansion> Read(const Json& schema);
  // The values of enum or const.
  absl::StatusOr<Expansion> ReadValues(const Json& schema);
  static bool HasValues(const Json& schema) {
    return schema.contains("enum") || schema.contains("const");
  }

  // Every value, and one.
  absl::StatusOr<Expansion> Anything();
  absl::StatusOr<Expansion> OneValue(const Json& value, const Json& schema);

  // The texts of numbers that are told apart by value.
  absl::StatusOr<NumberSet> AllNumbers(NumberSet::Judged judged);
  absl::StatusOr<NumberSet> Numbers(const NumberRange& range, NumberSet::Judged judged);
  absl::StatusOr<LanguageId> Pattern(const std::string& pattern);

 private:
  absl::Status ReadTypes(const Json& schema, Expansion& result);
  absl::Status ReadNumbers(const Json& schema, Expansion& result);
  absl::Status ReadStrings(const Json& schema, Expansion& result);
  absl::StatusOr<ObjectShape> ReadObject(const Json& schema);
  absl::Status ReadProperties(const Json& schema, ObjectShape& shape);
  absl::Status ReadRequired(const Json& schema, ObjectShape& shape);
  absl::Status ReadDependentRequired(const Json& schema, ObjectShape& shape);
  absl::StatusOr<ArrayShape> ReadArray(const Json& schema);
  absl::Status ReadItems(const Json& schema, ArrayShape& shape);
  absl::Status ReadContains(const Json& schema, ArrayShape& shape);
  absl::StatusOr<int64_t> Count(const Json& schema, const char* keyword, int64_t otherwise);
  FormulaId FormulaOf(const Json& schema) { return formulas_.Schema(document_.Canonical(&schema)); }

  SchemaDocument& document_;
  FormulaTable& formulas_;
  LanguagePool& languages_;
  const GrammarLimits& limits_;
  absl::flat_hash_map<std::string, LanguageId> patterns_;
  absl::flat_hash_map<std::string, NumberSet> numbers_;
};

}  // namespace sdar::grammar
