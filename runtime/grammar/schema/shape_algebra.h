// SPDX-License-Identifier: Apache-2.0
// Joins and negates shapes of objects and arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

#include "runtime/grammar/schema/expansion.h"
#include "runtime/grammar/schema/grammar_limits.h"

namespace sdar::grammar {

// Whether a formula is known to take no value; false where that is not known.
using IsKnownEmpty = absl::FunctionRef<bool(FormulaId)>;

// Not thread-safe. What it refers to must outlive it. Results are complete: a value that satisfies
// both sides (or not the one) satisfies some shape of the result, and the other way round.
class ShapeAlgebra {
 public:
  ShapeAlgebra(FormulaTable& formulas, LanguagePool& languages, const GrammarLimits& limits)
      : formulas_(formulas), languages_(languages), limits_(limits) {}

  absl::StatusOr<ObjectShapes> Intersect(const ObjectShapes& a, const ObjectShapes& b,
                                         IsKnownEmpty is_empty);
  absl::StatusOr<ArrayShapes> Intersect(const ArrayShapes& a, const ArrayShapes& b,
                                        IsKnownEmpty is_empty);
  // What is in `from` but in none of `shapes`.
  absl::StatusOr<ObjectShapes> Subtract(ObjectShapes from, const ObjectShapes& shapes,
                                        IsKnownEmpty is_empty);
  absl::StatusOr<ArrayShapes> Subtract(ArrayShapes from, const ArrayShapes& shapes,
                                       IsKnownEmpty is_empty);

  // Shapes that say the same without what contradicts itself: none, one, or one for each property
  // that may be the one that `some` asks for.
  absl::StatusOr<std::vector<ObjectShape>> Settled(ObjectShape shape, IsKnownEmpty is_empty);
  // False: no array has this shape.
  bool Settle(ArrayShape& shape, IsKnownEmpty is_empty);

  // Adds to the work that limits bound.
  absl::Status Spend(int64_t work);

 private:
  absl::StatusOr<ObjectShape> Joined(const ObjectShape& a, const ObjectShape& b);
  ArrayShape Joined(const ArrayShape& a, const ArrayShape& b);
  FormulaId ValueOf(const ObjectShape& shape, const std::string& name) const;
  absl::StatusOr<std::vector<OtherProperties>> JoinedOthers(const ObjectShape& a,
                                                            const ObjectShape& b);
  // The names of a language that the shape does not name itself.
  absl::StatusOr<LanguageId> WithoutNamed(const ObjectShape& shape, LanguageId names);
  absl::StatusOr<bool> CanHaveSome(ObjectShape& shape, const OtherProperties& wanted,
                                   IsKnownEmpty is_empty);
  bool SettleNamed(ObjectShape& shape, IsKnownEmpty is_empty);
  ObjectShapes Violations(const ObjectShape& shape);
  absl::StatusOr<ObjectShapes> AllViolations(const ObjectShape& shape);
  absl::StatusOr<ArrayShapes> Violations(const ArrayShape& shape);

  FormulaTable& formulas_;
  LanguagePool& languages_;
  const GrammarLimits& limits_;
  int64_t work_ = 0;
};

// A shape without conditions.
ObjectShape AnyObject();

}  // namespace sdar::grammar
