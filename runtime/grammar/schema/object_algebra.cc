// SPDX-License-Identifier: Apache-2.0
// The part of ShapeAlgebra that is about objects.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/schema/shape_algebra.h"

namespace sdar::grammar {
namespace {

// What it costs to build a language, in properties looked at.
constexpr int64_t kLanguageWork = 100;

auto FindNamed(const ObjectShape& shape, const std::string& name) {
  return std::lower_bound(
      shape.named.begin(), shape.named.end(), name,
      [](const NamedProperty& property, const std::string& key) { return property.name < key; });
}

// Adds a condition on one property, which the shape may not name yet.
void Restrict(ObjectShape& shape, const std::string& name, FormulaId value, bool required) {
  auto at = shape.named.begin() + (FindNamed(shape, name) - shape.named.begin());
  if (at == shape.named.end() || at->name != name)
    at = shape.named.insert(at, {name, value, false});
  at->value = value;
  at->required = at->required || required;
}

bool SameShape(const ObjectShape& a, const ObjectShape& b) {
  const auto same_named = [](const NamedProperty& x, const NamedProperty& y) {
    return x.name == y.name && x.value == y.value && x.required == y.required;
  };
  const auto same_others = [](const OtherProperties& x, const OtherProperties& y) {
    return x.names == y.names && x.value == y.value;
  };
  return a.min == b.min && a.max == b.max && a.implied == b.implied &&
         std::equal(a.named.begin(), a.named.end(), b.named.begin(), b.named.end(), same_named) &&
         std::equal(a.others.begin(), a.others.end(), b.others.begin(), b.others.end(),
                    same_others) &&
         std::equal(a.some.begin(), a.some.end(), b.some.begin(), b.some.end(), same_others);
}

void AddShape(ObjectShape shape, ObjectShapes& shapes) {
  for (const auto& other : shapes) {
    if (SameShape(*other, shape)) return;
  }
  shapes.push_back(std::make_shared<const ObjectShape>(std::move(shape)));
}

int64_t SmallerMax(int64_t a, int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

}  // namespace

ObjectShape AnyObject() {
  ObjectShape shape;
  shape.others.push_back({});
  return shape;
}

absl::Status ShapeAlgebra::Spend(int64_t work) {
  work_ += work;
  if (work_ <= limits_.max_work) return absl::OkStatus();
  return absl::InvalidArgumentError("joining the parts of the schema takes too much work");
}

FormulaId ShapeAlgebra::ValueOf(const ObjectShape& shape, const std::string& name) const {
  const auto found = FindNamed(shape, name);
  if (found != shape.named.end() && found->name == name) return found->value;
  for (const OtherProperties& others : shape.others) {
    if (languages_.Has(others.names, name)) return others.value;
  }
  return kNothing;
}

absl::StatusOr<std::vector<OtherProperties>> ShapeAlgebra::JoinedOthers(const ObjectShape& a,
                                                                        const ObjectShape& b) {
  std::vector<OtherProperties> joined;
  for (const OtherProperties& x : a.others) {
    for (const OtherProperties& y : b.others) {
      const FormulaId value = formulas_.All(x.value, y.value);
      if (value == kNothing) continue;
      SDAR_ASSIGN_OR_RETURN(const LanguageId names, languages_.Intersect(x.names, y.names));
      if (names != kNoLanguage) joined.push_back({names, value});
    }
  }
  return joined;
}

absl::StatusOr<ObjectShape> ShapeAlgebra::Joined(const ObjectShape& a, const ObjectShape& b) {
  ObjectShape joined;
  auto x = a.named.begin();
  auto y = b.named.begin();
  while (x != a.named.end() || y != b.named.end()) {
    const bool from_a = y == b.named.end() || (x != a.named.end() && x->name <= y->name);
    const bool from_b = x == a.named.end() || (y != b.named.end() && y->name <= x->name);
    const std::string& name = from_a ? x->name : y->name;
    const FormulaId in_a = from_a ? x->value : ValueOf(a, name);
    const FormulaId in_b = from_b ? y->value : ValueOf(b, name);
    const bool required = (from_a && x->required) || (from_b && y->required);
    joined.named.push_back({name, formulas_.All(in_a, in_b), required});
    if (from_a) ++x;
    if (from_b) ++y;
  }
  SDAR_ASSIGN_OR_RETURN(joined.others, JoinedOthers(a, b));
  joined.some = a.some;
  joined.some.insert(joined.some.end(), b.some.begin(), b.some.end());
  std::set<std::pair<std::string, std::string>> implied(a.implied.begin(), a.implied.end());
  implied.insert(b.implied.begin(), b.implied.end());
  joined.implied.assign(implied.begin(), implied.end());
  joined.min = std::max(a.min, b.min);
  joined.max = SmallerMax(a.max, b.max);
  return joined;
}

absl::StatusOr<ObjectShapes> ShapeAlgebra::Intersect(const ObjectShapes& a, const ObjectShapes& b,
                                                     IsKnownEmpty is_empty) {
  ObjectShapes result;
  for (const auto& x : a) {
    for (const auto& y : b) {
      SDAR_RETURN_IF_ERROR(
          Spend(static_cast<int64_t>(x->named.size() + y->named.size() + result.size() / 8) + 4));
      SDAR_ASSIGN_OR_RETURN(ObjectShape joined, Joined(*x, *y));
      SDAR_ASSIGN_OR_RETURN(std::vector<ObjectShape> settled, Settled(std::move(joined), is_empty));
      for (ObjectShape& shape : settled) AddShape(std::move(shape), result);
      if (result.size() > limits_.max_alternatives) {
        return absl::InvalidArgumentError("an object can be read in too many ways");
      }
    }
  }
  return result;
}

absl::StatusOr<LanguageId> ShapeAlgebra::WithoutNamed(const ObjectShape& shape, LanguageId names) {
  std::vector<std::string> named;
  for (const NamedProperty& property : shape.named) {
    if (languages_.Has(names, property.name)) named.push_back(property.name);
  }
  if (named.empty()) return names;
  SDAR_RETURN_IF_ERROR(Spend(kLanguageWork));
  SDAR_ASSIGN_OR_RETURN(Dfa texts, AnyOf(named, languages_.limits()));
  return languages_.Subtract(names, languages_.Add(std::move(texts)));
}

// What is required takes with it what it implies. False: no object has this shape.
bool ShapeAlgebra::SettleNamed(ObjectShape& shape, IsKnownEmpty is_empty) {
  for (bool changed = true; changed;) {
    changed = false;
    std::erase_if(shape.implied, [&](const auto& pair) {
      const auto first = FindNamed(shape, pair.first);
      if (first == shape.named.end() || first->name != pair.first || !first->required) {
        return false;
      }
      Restrict(shape, pair.second, ValueOf(shape, pair.second), true);
      return changed = true;
    });
  }
  int64_t num_required = 0;
  bool open = !shape.others.empty();
  for (const NamedProperty& property : shape.named) {
    if (property.required) {
      if (property.value == kNothing || is_empty(property.value)) return false;
      ++num_required;
    }
    open = open || (property.value != kNothing && !property.required);
  }
  if (shape.max >= 0 && num_required > shape.max) return false;
  if (shape.max >= 0 && shape.min > shape.max) return false;
  return open || num_required >= shape.min;
}

// Some property that the shape does not name may be the wanted one. Where the names for that are
// few the shape names them from now on.
absl::StatusOr<bool> ShapeAlgebra::CanHaveSome(ObjectShape& shape, const OtherProperties& wanted,
                                               IsKnownEmpty is_empty) {
  constexpr int kFewWanted = 16;
  bool possible = false;
  for (const OtherProperties& others : std::vector<OtherProperties>(shape.others)) {
    SDAR_ASSIGN_OR_RETURN(LanguageId names, languages_.Intersect(others.names, wanted.names));
    SDAR_ASSIGN_OR_RETURN(names, WithoutNamed(shape, names));
    if (names == kNoLanguage) continue;
    const FormulaId value = formulas_.All(others.value, wanted.value);
    if (value == kNothing || is_empty(value)) continue;
    SDAR_RETURN_IF_ERROR(Spend(kLanguageWork));
    const ScanDfa scan = languages_.Scan(names, Writing::kPlain);
    if (scan.Words(scan.start()) > kFewWanted) {
      possible = true;
      continue;
    }
    for (const CheapWord& word : scan.CheapestWords(scan.start(), kNoCharacter, kFewWanted)) {
      std::string name;
      for (const char32_t c : word.text) AppendUtf8(c, name);
      Restrict(shape, name, others.value, false);
    }
  }
  return possible;
}

absl::StatusOr<std::vector<ObjectShape>> ShapeAlgebra::Settled(ObjectShape shape,
                                                               IsKnownEmpty is_empty) {
  std::vector<ObjectShape> settled;
  std::vector<std::pair<ObjectShape, size_t>> open;  // `some` before the place is settled
  open.emplace_back(std::move(shape), 0);
  while (!open.empty()) {
    auto [current, place] = std::move(open.back());
    open.pop_back();
    SDAR_RETURN_IF_ERROR(Spend(1));
    if (!SettleNamed(current, is_empty)) continue;
    if (place == current.some.size()) {
      settled.push_back(std::move(current));
      continue;
    }
    const OtherProperties wanted = current.some[place];
    SDAR_ASSIGN_OR_RETURN(const bool possible, CanHaveSome(current, wanted, is_empty));
    ObjectShape without = current;
    const bool satisfied =
        std::any_of(current.named.begin(), current.named.end(), [&](const NamedProperty& property) {
          return property.required && languages_.Has(wanted.names, property.name) &&
                 formulas_.All(property.value, wanted.value) == property.value;
        });
    without.some.erase(without.some.begin() + static_cast<std::ptrdiff_t>(place));
    if (satisfied) {
      open.emplace_back(std::move(without), place);
      continue;
    }
    for (const NamedProperty& property : current.named) {
      if (property.value == kNothing || !languages_.Has(wanted.names, property.name)) continue;
      const FormulaId value = formulas_.All(property.value, wanted.value);
      if (value == kNothing) continue;
      SDAR_RETURN_IF_ERROR(Spend(static_cast<int64_t>(current.named.size())));
      ObjectShape with = without;
      Restrict(with, property.name, value, true);
      open.emplace_back(std::move(with), place);
    }
    if (possible) open.emplace_back(std::move(current), place + 1);
    if (open.size() + settled.size() > limits_.max_alternatives) {
      return absl::InvalidArgumentError("an object can be read in too many ways");
    }
  }
  return settled;
}

// The ways to break a shape, one condition each.
ObjectShapes ShapeAlgebra::Violations(const ObjectShape& shape) {
  ObjectShapes ways;
  const auto add = [&ways](ObjectShape way) { AddShape(std::move(way), ways); };
  for (const NamedProperty& property : shape.named) {
    if (property.required) {
      ObjectShape way = AnyObject();
      Restrict(way, property.name, kNothing, false);
      add(std::move(way));
    }
    if (property.value != kEverything) {
      ObjectShape way = AnyObject();
      Restrict(way, property.name, formulas_.Not(property.value), true);
      add(std::move(way));
    }
  }
  for (const auto& [first, second] : shape.implied) {
    ObjectShape way = AnyObject();
    Restrict(way, first, kEverything, true);
    Restrict(way, second, kNothing, false);
    if (first != second) add(std::move(way));
  }
  if (shape.min > 0) {
    ObjectShape way = AnyObject();
    way.max = shape.min - 1;
    add(std::move(way));
  }
  if (shape.max >= 0) {
    ObjectShape way = AnyObject();
    way.min = shape.max + 1;
    add(std::move(way));
  }
  return ways;
}

// Violations, and those that are about properties without a name.
absl::StatusOr<ObjectShapes> ShapeAlgebra::AllViolations(const ObjectShape& shape) {
  ObjectShapes ways = Violations(shape);
  for (const OtherProperties& some : shape.some) {
    ObjectShape way;  // no property is such a one
    SDAR_ASSIGN_OR_RETURN(const LanguageId rest, languages_.Subtract(kAnyText, some.names));
    way.others.push_back({some.names, formulas_.Not(some.value)});
    if (rest != kNoLanguage) way.others.push_back({rest, kEverything});
    AddShape(std::move(way), ways);
  }
  // Names that the shape does not give to any of its classes must not be there either.
  LanguageId unnamed = kAnyText;
  std::vector<OtherProperties> broken;
  for (const OtherProperties& others : shape.others) {
    SDAR_ASSIGN_OR_RETURN(unnamed, languages_.Subtract(unnamed, others.names));
    if (others.value != kEverything) {
      broken.push_back({others.names, formulas_.Not(others.value)});
    }
  }
  if (unnamed != kNoLanguage) broken.push_back({unnamed, kEverything});
  for (const OtherProperties& some : broken) {
    ObjectShape way = AnyObject();
    SDAR_ASSIGN_OR_RETURN(const LanguageId names, WithoutNamed(shape, some.names));
    if (names == kNoLanguage) continue;
    way.some.push_back({names, some.value});
    AddShape(std::move(way), ways);
  }
  return ways;
}

absl::StatusOr<ObjectShapes> ShapeAlgebra::Subtract(ObjectShapes from, const ObjectShapes& shapes,
                                                    IsKnownEmpty is_empty) {
  for (const auto& shape : shapes) {
    if (from.empty()) break;
    ObjectShapes left;
    ObjectShapes ways;
    for (const auto& x : from) {
      SDAR_ASSIGN_OR_RETURN(const ObjectShapes both, Intersect({x}, {shape}, is_empty));
      if (both.empty()) {
        left.push_back(x);
        continue;
      }
      if (ways.empty()) {
        SDAR_ASSIGN_OR_RETURN(ways, AllViolations(*shape));
        if (ways.empty()) continue;
      }
      SDAR_ASSIGN_OR_RETURN(const ObjectShapes broken, Intersect({x}, ways, is_empty));
      for (const auto& way : broken) AddShape(*way, left);
    }
    if (left.size() > limits_.max_alternatives) {
      return absl::InvalidArgumentError("an object can be read in too many ways");
    }
    from = std::move(left);
  }
  return from;
}

}  // namespace sdar::grammar
