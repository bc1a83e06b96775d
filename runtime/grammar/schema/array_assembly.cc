// SPDX-License-Identifier: Apache-2.0
// The part of Assembler that is about arrays.
#include <algorithm>
#include <map>
#include <queue>
#include <utility>

#include "absl/status/status.h"

#include "common/status_macros.h"
#include "runtime/grammar/schema/assembler.h"

namespace sdar::grammar {
namespace {

constexpr size_t kMaxCounted = 3;  // conditions on how many elements there are
constexpr size_t kMaxGraph = 2048;
constexpr int64_t kMaxDistinct = 64;

// Where an array stands: elements so far, or the most that matter, and how many of each counted
// kind.
using Place = std::vector<int64_t>;

int64_t Capped(int64_t count, int64_t min, int64_t max) {
  return std::min(count, max >= 0 ? max + 1 : min);
}

}  // namespace

absl::StatusOr<int> Assembler::AddArray(const std::shared_ptr<const ArrayShape>& shape) {
  if (const auto found = arrays_.find(shape.get()); found != arrays_.end()) return found->second;
  ArrayRule rule;
  rule.min = shape->min;
  rule.max = shape->max;
  rule.unique = shape->unique;
  if (!shape->counted.empty()) {
    SDAR_RETURN_IF_ERROR(BuildGraph(*shape, rule));
  } else {
    for (const FormulaId element : shape->prefix) {
      if (rule.max >= 0 && static_cast<int64_t>(rule.prefix.size()) >= rule.max) break;
      rule.prefix.push_back(NodeOf(element));
    }
    const bool has_rest = rule.max < 0 || rule.max > static_cast<int64_t>(rule.prefix.size());
    rule.rest = has_rest ? NodeOf(shape->rest) : kNoNode;
  }
  const auto index = static_cast<int>(grammar_.arrays.size());
  grammar_.arrays.push_back(std::move(rule));
  arrays_[shape.get()] = index;
  kept_arrays_.push_back(shape);
  return index;
}

// An element is of some of the counted kinds: a step for each such set. Kinds without a maximum may
// be left uncounted, as a set with fewer of them says less.
absl::Status Assembler::BuildGraph(const ArrayShape& shape, ArrayRule& rule) {
  if (shape.unique || shape.counted.size() > kMaxCounted) {
    return absl::InvalidArgumentError("contains: too many conditions together");
  }
  FormulaTable& formulas = expander_.formulas();
  const auto num_prefix = static_cast<int64_t>(shape.prefix.size());
  int64_t places = std::max(num_prefix, shape.min);
  for (const CountedElements& counted : shape.counted) places = std::max(places, counted.from);
  std::map<Place, int> ids;
  std::vector<Place> open;
  const auto id_of = [&](const Place& place) {
    const auto [found, is_new] = ids.try_emplace(place, static_cast<int>(open.size()));
    if (is_new) open.push_back(place);
    return found->second;
  };
  id_of(Place(1 + shape.counted.size()));
  for (size_t at = 0; at < open.size(); ++at) {
    if (open.size() > kMaxGraph) return absl::InvalidArgumentError("contains: counts too far");
    const Place place = open[at];
    ArrayRule::State state;
    state.accepts = place[0] >= shape.min;
    for (size_t k = 0; k < shape.counted.size(); ++k) {
      state.accepts = state.accepts && place[k + 1] >= shape.counted[k].min;
    }
    for (size_t kinds = 0; kinds < size_t{1} << shape.counted.size(); ++kinds) {
      if (shape.max >= 0 && place[0] >= shape.max) break;
      Place next = place;
      next[0] = std::min(place[0] + 1, shape.max >= 0 ? shape.max : places);
      FormulaId value =
          place[0] < num_prefix ? shape.prefix[static_cast<size_t>(place[0])] : shape.rest;
      bool possible = true;
      for (size_t k = 0; k < shape.counted.size(); ++k) {
        const CountedElements& counted = shape.counted[k];
        const bool counts = place[0] >= counted.from;
        if ((kinds >> k & 1) != 0) {
          possible = possible && counts;
          value = formulas.All(value, counted.value);
          next[k + 1] = Capped(place[k + 1] + 1, counted.min, counted.max);
          possible = possible && (counted.max < 0 || next[k + 1] <= counted.max);
        } else if (counts && counted.max >= 0) {
          value = formulas.All(value, formulas.Not(counted.value));
        }
      }
      if (!possible || value == kNothing) continue;
      state.steps.push_back({NodeOf(value), id_of(next)});
    }
    rule.graph.push_back(std::move(state));
  }
  return absl::OkStatus();
}

// Elements are compared as texts, which is right for strings and literals.
absl::Status Assembler::CheckUnique(const ArrayRule& rule) {
  if (!rule.unique || rule.rest == kNoNode) {
    return rule.unique && rule.prefix.size() > 1
               ? absl::InvalidArgumentError("uniqueItems with a list of items")
               : absl::OkStatus();
  }
  const ValueNode& node = grammar_.nodes[static_cast<size_t>(rule.rest)];
  if (!rule.prefix.empty() || node.number != kNoDfa || !node.objects.empty() ||
      !node.arrays.empty()) {
    return absl::InvalidArgumentError("uniqueItems: elements that are not all strings");
  }
  if (rule.min > kMaxDistinct) return absl::InvalidArgumentError("uniqueItems: minItems too large");
  return absl::OkStatus();
}

}  // namespace sdar::grammar
