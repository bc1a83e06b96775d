// SPDX-License-Identifier: Apache-2.0
// What a value must satisfy: schemas, joined and negated, each formula once.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

#include "common/json.h"

namespace sdar::grammar {

using FormulaId = int32_t;
inline constexpr FormulaId kEverything = 0;
inline constexpr FormulaId kNothing = 1;

struct Formula {
  enum Kind : uint8_t { kTrue, kFalse, kSchema, kAll, kNot } kind = kTrue;
  const Json* schema = nullptr;    // kSchema
  std::vector<FormulaId> members;  // kAll: ascending, two or more; kNot: one
};

// Not thread-safe.
class FormulaTable {
 public:
  FormulaTable();
  FormulaId Schema(const Json* schema);
  // Both must hold.
  FormulaId All(FormulaId a, FormulaId b);
  FormulaId Not(FormulaId formula);
  const Formula& Get(FormulaId id) const { return formulas_[static_cast<size_t>(id)]; }
  size_t size() const { return formulas_.size(); }

 private:
  FormulaId Add(Formula formula);

  std::vector<Formula> formulas_;
  absl::flat_hash_map<const Json*, FormulaId> schemas_;
  absl::flat_hash_map<std::vector<FormulaId>, FormulaId> all_;
  absl::flat_hash_map<FormulaId, FormulaId> not_;
};

}  // namespace sdar::grammar
