// SPDX-License-Identifier: Apache-2.0
// The part of ShapeAlgebra that is about arrays.
#include <algorithm>
#include <utility>

#include "absl/status/status.h"

#include "common/status_macros.h"
#include "runtime/grammar/schema/shape_algebra.h"

namespace sdar::grammar {
namespace {

FormulaId ElementOf(const ArrayShape& shape, size_t place) {
  return place < shape.prefix.size() ? shape.prefix[place] : shape.rest;
}

bool SameArrayShape(const ArrayShape& a, const ArrayShape& b) {
  const auto same = [](const CountedElements& x, const CountedElements& y) {
    return x.from == y.from && x.value == y.value && x.min == y.min && x.max == y.max;
  };
  return a.prefix == b.prefix && a.rest == b.rest && a.min == b.min && a.max == b.max &&
         a.unique == b.unique &&
         std::equal(a.counted.begin(), a.counted.end(), b.counted.begin(), b.counted.end(), same);
}

void AddArrayShape(ArrayShape shape, ArrayShapes& shapes) {
  for (const auto& other : shapes) {
    if (SameArrayShape(*other, shape)) return;
  }
  shapes.push_back(std::make_shared<const ArrayShape>(std::move(shape)));
}

}  // namespace

ArrayShape ShapeAlgebra::Joined(const ArrayShape& a, const ArrayShape& b) {
  ArrayShape joined;
  for (size_t i = 0; i < std::max(a.prefix.size(), b.prefix.size()); ++i) {
    joined.prefix.push_back(formulas_.All(ElementOf(a, i), ElementOf(b, i)));
  }
  joined.rest = formulas_.All(a.rest, b.rest);
  joined.min = std::max(a.min, b.min);
  joined.max = a.max < 0 ? b.max : b.max < 0 ? a.max : std::min(a.max, b.max);
  joined.unique = a.unique || b.unique;
  joined.counted = a.counted;
  joined.counted.insert(joined.counted.end(), b.counted.begin(), b.counted.end());
  return joined;
}

bool ShapeAlgebra::Settle(ArrayShape& shape, IsKnownEmpty is_empty) {
  for (const CountedElements& counted : shape.counted) {
    if (counted.max != 0) continue;  // none: a condition on each
    const auto from = static_cast<size_t>(counted.from);
    while (shape.prefix.size() < from) shape.prefix.push_back(shape.rest);
    const FormulaId other = formulas_.Not(counted.value);
    for (size_t i = from; i < shape.prefix.size(); ++i) {
      shape.prefix[i] = formulas_.All(shape.prefix[i], other);
    }
    shape.rest = formulas_.All(shape.rest, other);
  }
  for (const CountedElements& counted : shape.counted) {
    if (counted.max >= 0 && counted.min > counted.max) return false;
    if (counted.min > 0) shape.min = std::max(shape.min, counted.from + counted.min);
  }
  std::erase_if(shape.counted, [](const CountedElements& counted) {
    return counted.max == 0 || (counted.min == 0 && counted.max < 0) ||
           (counted.value == kEverything && counted.max < 0);
  });
  for (CountedElements& counted : shape.counted) {
    if (counted.value == kEverything && counted.max >= 0) {
      const int64_t max = counted.from + counted.max;
      shape.max = shape.max < 0 ? max : std::min(shape.max, max);
      counted.max = -1;
      counted.min = 0;
    }
  }
  std::erase_if(shape.counted,
                [](const CountedElements& counted) { return counted.value == kEverything; });
  for (size_t i = 0; i <= shape.prefix.size(); ++i) {
    const bool needed = static_cast<int64_t>(i) < shape.min;
    const FormulaId value = ElementOf(shape, i);
    if (value != kNothing && !(needed && is_empty(value))) continue;
    if (needed) return false;
    const auto max = static_cast<int64_t>(i);
    shape.max = shape.max < 0 ? max : std::min(shape.max, max);
  }
  if (shape.max >= 0 && shape.min > shape.max) return false;
  if (shape.max >= 0 && shape.max <= 1) shape.unique = false;
  return true;
}

absl::StatusOr<ArrayShapes> ShapeAlgebra::Intersect(const ArrayShapes& a, const ArrayShapes& b,
                                                    IsKnownEmpty is_empty) {
  ArrayShapes result;
  for (const auto& x : a) {
    for (const auto& y : b) {
      SDAR_RETURN_IF_ERROR(Spend(static_cast<int64_t>(x->prefix.size() + y->prefix.size()) + 4));
      ArrayShape joined = Joined(*x, *y);
      if (Settle(joined, is_empty)) AddArrayShape(std::move(joined), result);
      if (result.size() > limits_.max_alternatives) {
        return absl::InvalidArgumentError("an array can be read in too many ways");
      }
    }
  }
  return result;
}

absl::StatusOr<ArrayShapes> ShapeAlgebra::Violations(const ArrayShape& shape) {
  if (shape.unique) return absl::InvalidArgumentError("not: uniqueItems cannot be negated");
  ArrayShapes ways;
  for (size_t i = 0; i < shape.prefix.size(); ++i) {
    if (shape.prefix[i] == kEverything) continue;
    ArrayShape way;
    way.prefix.assign(i, kEverything);
    way.prefix.push_back(formulas_.Not(shape.prefix[i]));
    way.min = static_cast<int64_t>(i) + 1;
    AddArrayShape(std::move(way), ways);
  }
  if (shape.rest != kEverything) {
    ArrayShape way;
    way.counted.push_back(
        {static_cast<int64_t>(shape.prefix.size()), formulas_.Not(shape.rest), 1, -1});
    AddArrayShape(std::move(way), ways);
  }
  if (shape.min > 0) {
    ArrayShape way;
    way.max = shape.min - 1;
    AddArrayShape(std::move(way), ways);
  }
  if (shape.max >= 0) {
    ArrayShape way;
    way.min = shape.max + 1;
    AddArrayShape(std::move(way), ways);
  }
  for (const CountedElements& counted : shape.counted) {
    if (counted.min > 0) {
      ArrayShape way;
      way.counted.push_back({counted.from, counted.value, 0, counted.min - 1});
      AddArrayShape(std::move(way), ways);
    }
    if (counted.max >= 0) {
      ArrayShape way;
      way.counted.push_back({counted.from, counted.value, counted.max + 1, -1});
      AddArrayShape(std::move(way), ways);
    }
  }
  return ways;
}

absl::StatusOr<ArrayShapes> ShapeAlgebra::Subtract(ArrayShapes from, const ArrayShapes& shapes,
                                                   IsKnownEmpty is_empty) {
  for (const auto& shape : shapes) {
    ArrayShapes left;
    for (const auto& x : from) {
      SDAR_ASSIGN_OR_RETURN(const ArrayShapes both, Intersect({x}, {shape}, is_empty));
      if (both.empty()) {
        left.push_back(x);
        continue;
      }
      SDAR_ASSIGN_OR_RETURN(const ArrayShapes ways, Violations(*shape));
      SDAR_ASSIGN_OR_RETURN(const ArrayShapes broken, Intersect({x}, ways, is_empty));
      for (const auto& way : broken) AddArrayShape(*way, left);
    }
    if (left.size() > limits_.max_alternatives) {
      return absl::InvalidArgumentError("an array can be read in too many ways");
    }
    from = std::move(left);
  }
  return from;
}

}  // namespace sdar::grammar
