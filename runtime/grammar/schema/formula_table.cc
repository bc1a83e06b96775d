// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/formula_table.h"

#include <algorithm>
#include <utility>

namespace sdar::grammar {

FormulaTable::FormulaTable() {
  formulas_.resize(2);
  formulas_[1].kind = Formula::kFalse;
}

FormulaId FormulaTable::Add(Formula formula) {
  formulas_.push_back(std::move(formula));
  return static_cast<FormulaId>(formulas_.size()) - 1;
}

FormulaId FormulaTable::Schema(const Json* schema) {
  if (schema->is_boolean()) return schema->get<bool>() ? kEverything : kNothing;
  if (schema->is_object() && schema->empty()) return kEverything;
  const auto found = schemas_.find(schema);
  if (found != schemas_.end()) return found->second;
  const FormulaId id = Add({Formula::kSchema, schema, {}});
  schemas_[schema] = id;
  return id;
}

FormulaId FormulaTable::All(FormulaId a, FormulaId b) {
  if (a == b || b == kEverything) return a;
  if (a == kEverything) return b;
  if (a == kNothing || b == kNothing) return kNothing;
  std::vector<FormulaId> members;
  for (const FormulaId id : {a, b}) {
    const Formula& formula = Get(id);
    if (formula.kind == Formula::kAll) {
      members.insert(members.end(), formula.members.begin(), formula.members.end());
    } else {
      members.push_back(id);
    }
  }
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  if (members.size() == 1) return members[0];
  for (const FormulaId id : members) {
    const Formula& formula = Get(id);
    if (formula.kind == Formula::kNot &&
        std::binary_search(members.begin(), members.end(), formula.members[0])) {
      return kNothing;
    }
  }
  if (const auto found = all_.find(members); found != all_.end()) return found->second;
  const FormulaId id = Add({Formula::kAll, nullptr, members});
  all_[std::move(members)] = id;
  return id;
}

FormulaId FormulaTable::Not(FormulaId formula) {
  if (formula == kEverything) return kNothing;
  if (formula == kNothing) return kEverything;
  if (Get(formula).kind == Formula::kNot) return Get(formula).members[0];
  if (const auto found = not_.find(formula); found != not_.end()) return found->second;
  const FormulaId id = Add({Formula::kNot, nullptr, {formula}});
  not_[formula] = id;
  return id;
}

}  // namespace sdar::grammar
