// SPDX-License-Identifier: Apache-2.0
// The expressions of a rendering: variables, operators, filters, calls.
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/library/filters.h"
#include "runtime/text/jinja/library/methods.h"
#include "runtime/text/jinja/library/tests.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/rendering.h"

namespace sdar {
namespace {

using SequenceKind = JinjaSequence::Kind;

constexpr size_t kUnitsPerName = 16;  // of work, to compare it

}  // namespace

JinjaRendering::Result JinjaRendering::Evaluate(const JinjaExpr& expr) {
  const Nesting nesting(depth_);
  SDAR_RETURN_IF_ERROR(Enter(expr.line));
  Result value = EvaluateKind(expr);
  if (value.ok()) line_ = expr.line;
  return value;
}

JinjaRendering::Result JinjaRendering::EvaluateKind(const JinjaExpr& expr) {
  using Kind = JinjaExpr::Kind;
  switch (expr.kind) {
    case Kind::kConstant:
      return expr.constant;
    case Kind::kName:
      return Lookup(expr.name);
    case Kind::kCaptured:
      return captured_;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
      return EvaluateContainer(expr);
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kCondition:
      return EvaluateChoice(expr);
    case Kind::kCompare:
      return EvaluateCompare(expr);
    case Kind::kCall:
      return EvaluateCall(expr);
    case Kind::kFilter:
    case Kind::kTest:
      return EvaluateFilterOrTest(expr);
    default:
      return EvaluateOperator(expr);
  }
}

absl::StatusOr<JinjaValues> JinjaRendering::EvaluateOperands(const JinjaExpr& expr, size_t first) {
  JinjaValues values;
  values.reserve(expr.operands.size() - first);  // bounded by the template's size
  for (size_t i = first; i < expr.operands.size(); ++i) {
    JinjaValue value;
    if (expr.operands[i] != nullptr) {
      SDAR_ASSIGN_OR_RETURN(value, Evaluate(*expr.operands[i]));
    }
    values.push_back(std::move(value));
  }
  return values;
}

JinjaRendering::Result JinjaRendering::EvaluateContainer(const JinjaExpr& expr) {
  SDAR_ASSIGN_OR_RETURN(JinjaValues values, EvaluateOperands(expr, 0));
  if (expr.kind != JinjaExpr::Kind::kDict) {
    const bool tuple = expr.kind == JinjaExpr::Kind::kTuple;
    JinjaItems items(budget_);
    SDAR_RETURN_IF_ERROR(items.Reserve(values.size()));
    for (JinjaValue& value : values) SDAR_RETURN_IF_ERROR(items.Add(std::move(value)));
    return MakeSequence(tuple ? SequenceKind::kTuple : SequenceKind::kList, std::move(items));
  }
  SDAR_RETURN_IF_ERROR(budget_.Allocate(values.size() / 2 * sizeof(JinjaMember)));
  std::vector<JinjaMember> items;
  items.reserve(values.size() / 2);
  for (size_t i = 0; i + 1 < values.size(); i += 2) {
    items.emplace_back(std::move(values[i]), std::move(values[i + 1]));
  }
  return MakeDict(std::move(items), budget_);
}

JinjaRendering::Result JinjaRendering::EvaluateChoice(const JinjaExpr& expr) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue first, Evaluate(*expr.operands[0]));
  if (expr.kind == JinjaExpr::Kind::kCondition) {
    const JinjaExpr* chosen = expr.operands[first.IsTrue() ? 1 : 2].get();
    if (chosen != nullptr) return Evaluate(*chosen);
    return MakeUndefined(
        "the inline if-expression evaluated to false and no else section was defined", budget_);
  }
  const bool decided = first.IsTrue() == (expr.kind == JinjaExpr::Kind::kOr);
  return decided ? Result(std::move(first)) : Evaluate(*expr.operands[1]);
}

JinjaRendering::Result JinjaRendering::EvaluateCompare(const JinjaExpr& expr) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue left, Evaluate(*expr.operands[0]));
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue right, Evaluate(*expr.operands[i + 1]));
    const bool not_in = expr.operators[i] == "not in";
    JinjaArguments other;
    other.positional.push_back(right);
    SDAR_ASSIGN_OR_RETURN(const bool holds,
                          ApplyJinjaTest(not_in ? "in" : expr.operators[i], left, other, budget_));
    if (holds == not_in) return JinjaValue(false);
    left = std::move(right);
  }
  return JinjaValue(true);
}

JinjaRendering::Result JinjaRendering::EvaluateOperator(const JinjaExpr& expr) {
  using Kind = JinjaExpr::Kind;
  SDAR_ASSIGN_OR_RETURN(const JinjaValues values, EvaluateOperands(expr, 0));
  line_ = expr.line;
  switch (expr.kind) {
    case Kind::kUnary:
      if (expr.name == "not") return JinjaValue(!values[0].IsTrue());
      return ApplySign(expr.name, values[0]);
    case Kind::kBinary:
      return ApplyBinary(expr.name, values[0], values[1], budget_);
    case Kind::kAttribute:
      return GetAttribute(values[0], expr.name, budget_);
    case Kind::kSubscript:
      return GetItem(values[0], values[1], budget_);
    case Kind::kSlice:
      return GetSlice(values[0], values[1], values[2], values[3], budget_);
    default: {
      JinjaTextBuilder text(budget_);
      for (const JinjaValue& value : values) SDAR_RETURN_IF_ERROR(AppendText(value, text));
      return MakeText(std::move(text));
    }
  }
}

absl::StatusOr<JinjaArguments> JinjaRendering::EvaluateArguments(const JinjaExpr& expr) {
  JinjaArguments arguments;
  SDAR_ASSIGN_OR_RETURN(arguments.positional, EvaluateOperands(expr, 1));
  for (const auto& [name, value_expr] : expr.named) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*value_expr));
    SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerName + name.size()));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

JinjaRendering::Result JinjaRendering::EvaluateFilterOrTest(const JinjaExpr& expr) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*expr.operands[0]));
  SDAR_ASSIGN_OR_RETURN(const JinjaArguments arguments, EvaluateArguments(expr));
  line_ = expr.line;
  if (expr.kind == JinjaExpr::Kind::kFilter) {
    return ApplyJinjaFilter(expr.name, value, arguments, budget_);
  }
  SDAR_ASSIGN_OR_RETURN(const bool holds, ApplyJinjaTest(expr.name, value, arguments, budget_));
  return JinjaValue(holds != expr.negated);
}

JinjaRendering::Result JinjaRendering::EvaluateCall(const JinjaExpr& expr) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue callee, Evaluate(*expr.operands[0]));
  SDAR_ASSIGN_OR_RETURN(const JinjaArguments arguments, EvaluateArguments(expr));
  line_ = expr.line;
  if (callee.is_undefined()) return callee.UndefinedError();
  const JinjaCallable* callable = callee.callable();
  if (callable == nullptr) {
    return JinjaError(absl::StrCat("'", callee.TypeName(), "' object is not callable"));
  }
  switch (callable->kind) {
    case JinjaCallable::Kind::kMethod:
      return CallMethod(callable->self, callable->name, arguments, budget_);
    case JinjaCallable::Kind::kMacro:
      return CallMacro(*callable->macro, arguments);
    case JinjaCallable::Kind::kFunction:
      return CallFunction(callable->name, arguments);
  }
  return JinjaError("unknown kind of function");
}

JinjaRendering::Result JinjaRendering::CallMacro(const JinjaMacro& macro,
                                                 const JinjaArguments& arguments) {
  std::vector<absl::string_view> names;
  const size_t num_names = macro.parameters.size();
  SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerName * num_names * (1 + arguments.named.size())));
  for (const auto& [name, value] : macro.parameters) names.push_back(name);
  SDAR_ASSIGN_OR_RETURN(const auto bound, BindArguments(macro.name, arguments, names));
  const size_t outer_first = std::exchange(first_scope_, scopes_.size());
  Scope scope;
  absl::Status status;
  for (size_t i = 0; i < bound.size() && status.ok(); ++i) {
    const auto& [name, default_expr] = macro.parameters[i];
    Result value =
        bound[i] != nullptr ? Result(*bound[i])
        : default_expr != nullptr
            ? Evaluate(*default_expr)
            : MakeUndefined(absl::StrCat("parameter '", Shorten(name), "' was not provided"),
                            budget_);
    status = value.status();
    if (value.ok()) scope.emplace_back(name, *std::move(value));
  }
  Result text = status.ok() ? CaptureBody(macro.body, std::move(scope)) : Result(status);
  first_scope_ = outer_first;
  return text;
}

JinjaRendering::Result JinjaRendering::CallFunction(const std::string& name,
                                                    const JinjaArguments& arguments) {
  if (name == "range") return MakeRange(arguments);
  if (name == "namespace") return MakeNamespace(arguments);
  if (name == "dict") return MakeDictFromNames(arguments);
  if (name == "raise_exception") {
    SDAR_ASSIGN_OR_RETURN(const auto bound, BindRequired(name, arguments, {"message"}));
    SDAR_ASSIGN_OR_RETURN(const JinjaValue message, PrintValue(*bound[0], budget_));
    raised_ = true;
    return JinjaError(message.text());
  }
  return JinjaError(absl::StrCat("the function '", Shorten(name), "' is not supported"));
}

JinjaRendering::Result JinjaRendering::MakeRange(const JinjaArguments& arguments) {
  if (!arguments.named.empty() || arguments.positional.empty() || arguments.positional.size() > 3) {
    return JinjaError("range expects 1 to 3 integers");
  }
  std::vector<int64_t> numbers;
  for (const JinjaValue& value : arguments.positional) {
    SDAR_ASSIGN_OR_RETURN(const int64_t number, IntArgument("range", value));
    numbers.push_back(number);
  }
  const int64_t start = numbers.size() > 1 ? numbers[0] : 0;
  const int64_t stop = numbers.size() > 1 ? numbers[1] : numbers[0];
  const int64_t step = numbers.size() > 2 ? numbers[2] : 1;
  if (step == 0) return JinjaError("range() arg 3 must not be zero");
  JinjaItems items(budget_);
  int64_t value = start;
  while (step > 0 ? value < stop : value > stop) {
    SDAR_RETURN_IF_ERROR(items.Add(JinjaValue(value)));
    if (__builtin_add_overflow(value, step, &value)) break;
  }
  return MakeSequence(SequenceKind::kRange, std::move(items));
}

JinjaRendering::Result JinjaRendering::MakeNamespace(const JinjaArguments& arguments) {
  if (!arguments.positional.empty()) {
    return JinjaError("namespace with positional arguments is not supported");
  }
  size_t bytes = sizeof(JinjaNamespace);
  for (const auto& [name, value] : arguments.named)
    bytes += sizeof(arguments.named[0]) + name.size();
  SDAR_RETURN_IF_ERROR(budget_.Allocate(bytes));
  namespaces_.push_back(JinjaNamespace{arguments.named});
  return JinjaValue(&namespaces_.back());
}

JinjaRendering::Result JinjaRendering::MakeDictFromNames(const JinjaArguments& arguments) {
  if (!arguments.positional.empty()) {
    return JinjaError("dict with positional arguments is not supported");
  }
  SDAR_RETURN_IF_ERROR(budget_.Allocate(arguments.named.size() * sizeof(JinjaMember)));
  std::vector<JinjaMember> items;
  items.reserve(arguments.named.size());
  for (const auto& [name, value] : arguments.named) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue key, MakeText(name, budget_));
    items.emplace_back(std::move(key), value);
  }
  return MakeDict(std::move(items), budget_);
}

}  // namespace sdar
