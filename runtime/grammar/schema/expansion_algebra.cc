// SPDX-License-Identifier: Apache-2.0
// The part of Expander that joins and negates expansions.
#include <algorithm>
#include <utility>

#include "absl/status/status.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/regex.h"
#include "runtime/grammar/schema/expander.h"

namespace sdar::grammar {
namespace {

// How deep required values are looked into for contradictions.
constexpr int kMaxProbes = 4;

}  // namespace

// Only formulas of several parts are looked into: a single schema shows its own contradictions
// where it is used.
bool Expander::IsKnownEmpty(FormulaId formula) {
  if (formula == kNothing) return true;
  if (formulas_.Get(formula).kind != Formula::kAll) return false;
  if (const auto found = expanded_.find(formula); found != expanded_.end()) {
    return found->second->IsNothing();
  }
  if (probe_depth_ >= kMaxProbes || expanding_.contains(formula)) return false;
  ++probe_depth_;
  const absl::StatusOr<SharedExpansion> expansion = Expand(formula);
  --probe_depth_;
  return expansion.ok() && (*expansion)->IsNothing();
}

absl::StatusOr<Expansion> Expander::Intersect(const Expansion& a, const Expansion& b) {
  Expansion result;
  result.takes_null = a.takes_null && b.takes_null;
  result.takes_true = a.takes_true && b.takes_true;
  result.takes_false = a.takes_false && b.takes_false;
  SDAR_ASSIGN_OR_RETURN(result.numbers.texts,
                        languages_.Intersect(a.numbers.texts, b.numbers.texts));
  result.numbers.judged = std::max(a.numbers.judged, b.numbers.judged);
  SDAR_ASSIGN_OR_RETURN(result.strings, languages_.Intersect(a.strings, b.strings));
  const auto is_empty = [this](FormulaId id) { return IsKnownEmpty(id); };
  SDAR_ASSIGN_OR_RETURN(result.objects, algebra_.Intersect(a.objects, b.objects, is_empty));
  SDAR_ASSIGN_OR_RETURN(result.arrays, algebra_.Intersect(a.arrays, b.arrays, is_empty));
  return result;
}

absl::StatusOr<Expansion> Expander::Union(Expansion a, const Expansion& b) {
  a.takes_null |= b.takes_null;
  a.takes_true |= b.takes_true;
  a.takes_false |= b.takes_false;
  SDAR_ASSIGN_OR_RETURN(a.numbers.texts, languages_.Union(a.numbers.texts, b.numbers.texts));
  a.numbers.judged = std::max(a.numbers.judged, b.numbers.judged);
  SDAR_ASSIGN_OR_RETURN(a.strings, languages_.Union(a.strings, b.strings));
  for (const auto& shape : b.objects) {
    if (std::find(a.objects.begin(), a.objects.end(), shape) == a.objects.end()) {
      a.objects.push_back(shape);
    }
  }
  for (const auto& shape : b.arrays) {
    if (std::find(a.arrays.begin(), a.arrays.end(), shape) == a.arrays.end()) {
      a.arrays.push_back(shape);
    }
  }
  if (a.objects.size() > limits_.max_alternatives || a.arrays.size() > limits_.max_alternatives) {
    return absl::InvalidArgumentError("a value can be read in too many ways");
  }
  return a;
}

absl::StatusOr<Expansion> Expander::Subtract(const Expansion& from, const Expansion& a) {
  Expansion result;
  result.takes_null = from.takes_null && !a.takes_null;
  result.takes_true = from.takes_true && !a.takes_true;
  result.takes_false = from.takes_false && !a.takes_false;
  SDAR_ASSIGN_OR_RETURN(const NumberSet all, keywords_.AllNumbers(a.numbers.judged));
  SDAR_ASSIGN_OR_RETURN(result.numbers.texts, languages_.Intersect(from.numbers.texts, all.texts));
  SDAR_ASSIGN_OR_RETURN(result.numbers.texts,
                        languages_.Subtract(result.numbers.texts, a.numbers.texts));
  result.numbers.judged = std::max(from.numbers.judged, a.numbers.judged);
  SDAR_ASSIGN_OR_RETURN(result.strings, languages_.Subtract(from.strings, a.strings));
  const auto is_empty = [this](FormulaId id) { return IsKnownEmpty(id); };
  SDAR_ASSIGN_OR_RETURN(result.objects, algebra_.Subtract(from.objects, a.objects, is_empty));
  SDAR_ASSIGN_OR_RETURN(result.arrays, algebra_.Subtract(from.arrays, a.arrays, is_empty));
  return result;
}

}  // namespace sdar::grammar
