// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/library/tests.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/library/python_text.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/print.h"

namespace sdar {
namespace {

bool IsIterable(const JinjaValue& value) {
  return value.is_string() || value.is_undefined() || value.dict() != nullptr ||
         value.sequence() != nullptr;
}

// len() and items by position or key, as jinja2's test tries them.
bool IsSequence(const JinjaValue& value) {
  const JinjaSequence* items = value.sequence();
  return value.is_string() || value.dict() != nullptr || value.is_undefined() ||
         (items != nullptr && items->kind != JinjaSequence::Kind::kView &&
          items->kind != JinjaSequence::Kind::kGenerator);
}

constexpr size_t kUnitsPerTest = 64;  // of work, to find it by name

// Text that has letters, all of the case that `convert` makes.
absl::StatusOr<bool> HasCase(const JinjaValue& value, std::string (*convert)(absl::string_view),
                             JinjaBudget& budget) {
  if (!value.is_string()) return false;
  const std::string& text = value.text();
  constexpr int kConversions = 3;
  for (int i = 0; i < kConversions; ++i) SDAR_RETURN_IF_ERROR(budget.ChargeCharacters(text));
  SDAR_RETURN_IF_ERROR(budget.Allocate(size_t{2} * kConversions * text.size()));
  return convert(text) == text && PythonUpper(text) != PythonLower(text);
}

struct KindTest {
  absl::string_view name;
  bool (*holds)(const JinjaValue&);
};

constexpr KindTest kKindTests[] = {
    {"boolean", [](const JinjaValue& v) { return v.is_bool(); }},
    {"callable", [](const JinjaValue& v) { return v.callable() != nullptr; }},
    {"defined", [](const JinjaValue& v) { return !v.is_undefined(); }},
    {"false", [](const JinjaValue& v) { return v.is_bool() && !v.IsTrue(); }},
    {"float", [](const JinjaValue& v) { return v.is_float(); }},
    {"integer", [](const JinjaValue& v) { return v.is_int() || v.is_big_integer(); }},
    {"iterable", IsIterable},
    {"mapping", [](const JinjaValue& v) { return v.dict() != nullptr; }},
    {"none", [](const JinjaValue& v) { return v.is_none(); }},
    {"number", [](const JinjaValue& v) { return v.is_number() || v.is_big_integer(); }},
    {"sequence", IsSequence},
    {"string", [](const JinjaValue& v) { return v.is_string(); }},
    {"true", [](const JinjaValue& v) { return v.is_bool() && v.IsTrue(); }},
    {"undefined", [](const JinjaValue& v) { return v.is_undefined(); }},
};

// Tests of one argument that compare, by all their names.
struct ComparisonName {
  absl::string_view name;
  absl::string_view op;
};

constexpr ComparisonName kComparisons[] = {
    {"==", "=="},         {"eq", "=="},         {"equalto", "=="},
    {"!=", "!="},         {"ne", "!="},         {"<", "<"},
    {"lt", "<"},          {"lessthan", "<"},    {"<=", "<="},
    {"le", "<="},         {">", ">"},           {"gt", ">"},
    {"greaterthan", ">"}, {">=", ">="},         {"ge", ">="},
    {"in", "in"},         {"sameas", "sameas"}, {"divisibleby", "divisibleby"}};

const KindTest* FindKindTest(absl::string_view name) {
  const auto it = std::find_if(std::begin(kKindTests), std::end(kKindTests),
                               [&](const KindTest& test) { return test.name == name; });
  return it == std::end(kKindTests) ? nullptr : it;
}

const ComparisonName* FindComparison(absl::string_view name) {
  const auto it = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                               [&](const ComparisonName& test) { return test.name == name; });
  return it == std::end(kComparisons) ? nullptr : it;
}

absl::StatusOr<bool> Negate(absl::StatusOr<bool> value) {
  if (!value.ok()) return value;
  return !*value;
}

absl::StatusOr<bool> LeavesRemainder(const JinjaValue& value, int64_t divisor, int64_t remainder,
                                     JinjaBudget& budget) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue rest,
                        ApplyBinary("%", value, JinjaValue(divisor), budget));
  return rest.number() == static_cast<double>(remainder);
}

// Python's `is`, for the constants that templates compare so.
absl::StatusOr<bool> IsSame(const JinjaValue& a, const JinjaValue& b) {
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_bool() || b.is_bool()) return a.is_bool() && b.is_bool() && a.IsTrue() == b.IsTrue();
  return JinjaError(
      absl::StrCat("sameas between ", a.TypeName(), " and ", b.TypeName(), " is not supported"));
}

absl::StatusOr<bool> Compare(absl::string_view op, const JinjaValue& a, const JinjaValue& b,
                             JinjaBudget& budget) {
  if (op == "==") return AreEqual(a, b, budget);
  if (op == "!=") return Negate(AreEqual(a, b, budget));
  if (op == "in") return Contains(b, a, budget);
  if (op == "sameas") return IsSame(a, b);
  if (op == "divisibleby") {
    SDAR_ASSIGN_OR_RETURN(const int64_t divisor, IntArgument("divisibleby", b));
    return LeavesRemainder(a, divisor, 0, budget);
  }
  if (op == "<") return IsLess(a, b, budget);
  if (op == ">") return IsLess(b, a, budget);
  // Numbers that are no numbers compare false either way.
  SDAR_ASSIGN_OR_RETURN(const bool strict,
                        op == "<=" ? IsLess(a, b, budget) : IsLess(b, a, budget));
  if (strict) return true;
  return AreEqual(a, b, budget);
}

}  // namespace

bool IsKnownJinjaTest(absl::string_view name) {
  return name == "odd" || name == "even" || name == "lower" || name == "upper" ||
         FindKindTest(name) != nullptr || FindComparison(name) != nullptr;
}

absl::StatusOr<bool> ApplyJinjaTest(const std::string& name, const JinjaValue& value,
                                    const JinjaArguments& arguments, JinjaBudget& budget) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerTest));
  if (const ComparisonName* comparison = FindComparison(name)) {
    SDAR_ASSIGN_OR_RETURN(const auto bound, BindRequired(name, arguments, {"other"}));
    return Compare(comparison->op, value, *bound[0], budget);
  }
  SDAR_RETURN_IF_ERROR(BindArguments(name, arguments, {}).status());
  if (name == "odd") return LeavesRemainder(value, 2, 1, budget);
  if (name == "even") return LeavesRemainder(value, 2, 0, budget);
  if (name == "lower") return HasCase(value, PythonLower, budget);
  if (name == "upper") return HasCase(value, PythonUpper, budget);
  const KindTest* test = FindKindTest(name);
  SDAR_CHECK(test != nullptr);
  return test->holds(value);
}

}  // namespace sdar
