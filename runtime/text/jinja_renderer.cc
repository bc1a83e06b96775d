// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_renderer.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja_arguments.h"
#include "runtime/text/jinja_filters.h"
#include "runtime/text/jinja_methods.h"
#include "runtime/text/jinja_operators.h"
#include "runtime/text/jinja_print.h"
#include "runtime/text/jinja_tests.h"

namespace sdar {
namespace {

using Result = absl::StatusOr<JinjaValue>;
using SequenceKind = JinjaSequence::Kind;
using Scope = std::vector<std::pair<std::string, JinjaValue>>;

constexpr int kMaxDepth = 400;        // of nested evaluation, macros included
constexpr size_t kUnitsPerNode = 32;  // of work, for one statement or expression
constexpr absl::string_view kFunctions[] = {"range", "namespace", "dict", "raise_exception",
                                            "strftime_now"};

enum class Flow { kNext, kBreak, kContinue };

const JinjaValue* FindIn(const Scope& scope, absl::string_view name) {
  for (const auto& [variable, value] : scope) {
    if (variable == name) return &value;
  }
  return nullptr;
}

class Renderer {
 public:
  Renderer(const JinjaVariables& variables, const JinjaLimits& limits, JinjaBudget& budget)
      : variables_(variables), limits_(limits), budget_(budget), scopes_(1) {}

  absl::StatusOr<std::string> Run(const JinjaBody& body) {
    const absl::StatusOr<Flow> flow = Execute(body);
    if (flow.ok()) return std::move(out_);
    if (raised_) return flow.status();
    return absl::Status(flow.status().code(),
                        absl::StrCat("line ", line_, ": ", flow.status().message()));
  }

 private:
  // Counts nested evaluation.
  class Nesting {
   public:
    explicit Nesting(int& depth) : depth_(depth) { ++depth_; }
    ~Nesting() { --depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    int& depth_;
  };

  absl::Status Enter(int line) {
    line_ = line;
    if (depth_ > kMaxDepth) return JinjaError("the template nests or recurses too deep");
    return budget_.Charge(kUnitsPerNode);
  }

  // --- statements

  absl::StatusOr<Flow> Execute(const JinjaBody& body) {
    const Nesting nesting(depth_);
    for (const auto& statement : body) {
      SDAR_RETURN_IF_ERROR(Enter(statement->line));
      SDAR_ASSIGN_OR_RETURN(const Flow flow, ExecuteOne(*statement));
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  absl::StatusOr<Flow> ExecuteOne(const JinjaStatement& statement) {
    using Kind = JinjaStatement::Kind;
    switch (statement.kind) {
      case Kind::kIf:
        return ExecuteIf(statement);
      case Kind::kFor:
        return ExecuteFor(statement);
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
      default:
        SDAR_RETURN_IF_ERROR(ExecuteSimple(statement));
        return Flow::kNext;
    }
  }

  absl::Status ExecuteSimple(const JinjaStatement& statement) {
    using Kind = JinjaStatement::Kind;
    switch (statement.kind) {
      case Kind::kData:
        return Write(statement.text);
      case Kind::kOutput:
        return ExecuteOutput(statement);
      case Kind::kSet: {
        SDAR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*statement.expr));
        return Assign(statement.target, value);
      }
      case Kind::kMacro:
        DefineMacro(*statement.macro);
        return absl::OkStatus();
      case Kind::kSetBlock: {
        SDAR_ASSIGN_OR_RETURN(JinjaValue value, Capture(statement));
        return Assign(statement.target, value);
      }
      case Kind::kFilter: {
        SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Capture(statement));
        SDAR_ASSIGN_OR_RETURN(const std::string text, PrintText(value, budget_));
        return Write(text);
      }
      default:
        return ExecuteScoped(statement);
    }
  }

  absl::Status Write(absl::string_view text) {
    SDAR_RETURN_IF_ERROR(budget_.Charge(text.size()));
    if (out_.size() + text.size() > limits_.output_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the rendered text exceeds ", limits_.output_bytes, " bytes"));
    }
    out_.append(text.data(), text.size());
    return absl::OkStatus();
  }

  absl::Status ExecuteOutput(const JinjaStatement& statement) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*statement.expr));
    if (value.is_string()) return Write(value.text());
    SDAR_ASSIGN_OR_RETURN(const std::string text, PrintText(value, budget_));
    return Write(text);
  }

  absl::StatusOr<Flow> ExecuteIf(const JinjaStatement& statement) {
    for (const auto& [condition, body] : statement.branches) {
      if (condition != nullptr) {
        SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*condition));
        if (!value.IsTrue()) continue;
      }
      return Execute(body);
    }
    return Flow::kNext;
  }

  // The items that a loop runs over: those its filter keeps. The filter does not see `loop`.
  Result LoopItems(const JinjaStatement& statement) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*statement.expr));
    SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget_));
    if (statement.condition == nullptr) {
      return MakeSequence(SequenceKind::kList, items->items, budget_);
    }
    JinjaValues kept;
    for (const JinjaValue& item : items->items) {
      scopes_.emplace_back();
      absl::Status status = Assign(statement.target, item);
      Result condition = status.ok() ? Evaluate(*statement.condition) : Result(status);
      scopes_.pop_back();
      SDAR_RETURN_IF_ERROR(condition.status());
      if (condition->IsTrue()) kept.push_back(item);
    }
    return MakeSequence(SequenceKind::kList, std::move(kept), budget_);
  }

  absl::StatusOr<Flow> ExecuteFor(const JinjaStatement& statement) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue kept, LoopItems(statement));
    const size_t count = kept.sequence()->items.size();
    if (count == 0) {
      scopes_.emplace_back();
      absl::StatusOr<Flow> flow = Execute(statement.orelse);
      scopes_.pop_back();
      return flow;
    }
    const auto items = std::make_shared<const JinjaSequence>(*kept.sequence());
    absl::StatusOr<Flow> flow = Flow::kNext;
    for (size_t index = 0; index < count; ++index) {
      flow = ExecuteIteration(statement, items, index);
      if (!flow.ok() || *flow == Flow::kBreak) break;
    }
    SDAR_RETURN_IF_ERROR(flow.status());
    return Flow::kNext;
  }

  absl::StatusOr<Flow> ExecuteIteration(const JinjaStatement& statement,
                                        const std::shared_ptr<const JinjaSequence>& items,
                                        size_t index) {
    SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode));
    auto loop = std::make_shared<JinjaLoop>();
    loop->items = items;
    loop->index = index;
    scopes_.emplace_back();
    scopes_.back().emplace_back("loop", JinjaValue(std::shared_ptr<const JinjaLoop>(loop)));
    absl::Status status = Assign(statement.target, items->items[index]);
    absl::StatusOr<Flow> flow =
        status.ok() ? Execute(statement.body) : absl::StatusOr<Flow>(status);
    scopes_.pop_back();
    return flow;
  }

  // The output of a body in a scope of its own, through the statement's filters.
  Result Capture(const JinjaStatement& statement) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue text, CaptureBody(statement.body, {}));
    if (statement.expr == nullptr) return text;
    JinjaValue outer = std::exchange(captured_, std::move(text));
    Result value = Evaluate(*statement.expr);
    captured_ = std::move(outer);
    return value;
  }

  Result CaptureBody(const JinjaBody& body, Scope scope) {
    std::string outer = std::exchange(out_, std::string());
    scopes_.push_back(std::move(scope));
    const absl::StatusOr<Flow> flow = Execute(body);
    scopes_.pop_back();
    std::string text = std::exchange(out_, std::move(outer));
    SDAR_RETURN_IF_ERROR(flow.status());
    return MakeText(std::move(text), budget_);
  }

  // {% with %} and bare scopes. A with's values do not see each other.
  absl::Status ExecuteScoped(const JinjaStatement& statement) {
    JinjaValues values;
    for (const auto& [target, expr] : statement.assignments) {
      SDAR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*expr));
      values.push_back(std::move(value));
    }
    scopes_.emplace_back();
    absl::Status status;
    for (size_t i = 0; i < values.size() && status.ok(); ++i) {
      status = Assign(statement.assignments[i].first, values[i]);
    }
    if (status.ok()) status = Execute(statement.body).status();
    scopes_.pop_back();
    return status;
  }

  void DefineMacro(const JinjaMacro& macro) {
    auto callable = std::make_shared<JinjaCallable>();
    callable->kind = JinjaCallable::Kind::kMacro;
    callable->name = macro.name;
    callable->macro = &macro;
    SetVariable(macro.name, JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(callable))));
  }

  absl::Status Assign(const JinjaTarget& target, const JinjaValue& value) {
    if (!target.parts.empty()) return AssignParts(target, value);
    if (target.attribute.empty()) {
      SetVariable(target.name, value);
      return absl::OkStatus();
    }
    const JinjaValue space = Lookup(target.name);
    if (space.space() == nullptr) {
      return JinjaError(absl::StrCat("cannot assign the attribute '", target.attribute, "' of '",
                                     target.name, "', which is no namespace"));
    }
    SetIn(space.space()->attributes, target.attribute, value);
    return absl::OkStatus();
  }

  absl::Status AssignParts(const JinjaTarget& target, const JinjaValue& value) {
    SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget_));
    if (items->items.size() != target.parts.size()) {
      return JinjaError(absl::StrCat("cannot unpack ", items->items.size(), " values into ",
                                     target.parts.size(), " names"));
    }
    for (size_t i = 0; i < target.parts.size(); ++i) {
      SDAR_RETURN_IF_ERROR(Assign(target.parts[i], items->items[i]));
    }
    return absl::OkStatus();
  }

  static void SetIn(Scope& scope, const std::string& name, const JinjaValue& value) {
    for (auto& [variable, old] : scope) {
      if (variable == name) {
        old = value;
        return;
      }
    }
    scope.emplace_back(name, value);
  }

  void SetVariable(const std::string& name, const JinjaValue& value) {
    SetIn(scopes_.back(), name, value);
  }

  // The innermost variable of that name that the code under way can see: a macro sees its own
  // scopes, the template's outermost one and the variables of the rendering.
  JinjaValue Lookup(const std::string& name) const {
    for (size_t i = scopes_.size(); i-- > first_scope_;) {
      if (const JinjaValue* value = FindIn(scopes_[i], name)) return *value;
    }
    if (const JinjaValue* value = FindIn(scopes_[0], name)) return *value;
    if (const JinjaValue* value = FindIn(variables_, name)) return *value;
    if (std::find(std::begin(kFunctions), std::end(kFunctions), name) != std::end(kFunctions)) {
      auto function = std::make_shared<JinjaCallable>();
      function->name = name;
      return JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(function)));
    }
    return JinjaValue::MakeUndefined(absl::StrCat("'", name, "' is undefined"));
  }

  // --- expressions

  Result Evaluate(const JinjaExpr& expr) {
    const Nesting nesting(depth_);
    SDAR_RETURN_IF_ERROR(Enter(expr.line));
    Result value = EvaluateKind(expr);
    if (value.ok()) line_ = expr.line;
    return value;
  }

  Result EvaluateKind(const JinjaExpr& expr) {
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

  absl::StatusOr<JinjaValues> EvaluateOperands(const JinjaExpr& expr, size_t first) {
    JinjaValues values;
    for (size_t i = first; i < expr.operands.size(); ++i) {
      JinjaValue value;
      if (expr.operands[i] != nullptr) {
        SDAR_ASSIGN_OR_RETURN(value, Evaluate(*expr.operands[i]));
      }
      values.push_back(std::move(value));
    }
    return values;
  }

  Result EvaluateContainer(const JinjaExpr& expr) {
    SDAR_ASSIGN_OR_RETURN(JinjaValues values, EvaluateOperands(expr, 0));
    if (expr.kind != JinjaExpr::Kind::kDict) {
      const bool tuple = expr.kind == JinjaExpr::Kind::kTuple;
      return MakeSequence(tuple ? SequenceKind::kTuple : SequenceKind::kList, std::move(values),
                          budget_);
    }
    std::vector<std::pair<JinjaValue, JinjaValue>> items;
    for (size_t i = 0; i + 1 < values.size(); i += 2) {
      items.emplace_back(std::move(values[i]), std::move(values[i + 1]));
    }
    return MakeDict(std::move(items), budget_);
  }

  // and, or and conditions, which evaluate only what they need.
  Result EvaluateChoice(const JinjaExpr& expr) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue first, Evaluate(*expr.operands[0]));
    if (expr.kind == JinjaExpr::Kind::kCondition) {
      const JinjaExpr* chosen = expr.operands[first.IsTrue() ? 1 : 2].get();
      if (chosen != nullptr) return Evaluate(*chosen);
      return JinjaValue::MakeUndefined(
          "the inline if-expression evaluated to false and no else section was defined");
    }
    const bool decided = first.IsTrue() == (expr.kind == JinjaExpr::Kind::kOr);
    return decided ? Result(std::move(first)) : Evaluate(*expr.operands[1]);
  }

  Result EvaluateCompare(const JinjaExpr& expr) {
    SDAR_ASSIGN_OR_RETURN(JinjaValue left, Evaluate(*expr.operands[0]));
    for (size_t i = 0; i < expr.operators.size(); ++i) {
      SDAR_ASSIGN_OR_RETURN(JinjaValue right, Evaluate(*expr.operands[i + 1]));
      const bool not_in = expr.operators[i] == "not in";
      JinjaArguments other;
      other.positional.push_back(right);
      SDAR_ASSIGN_OR_RETURN(const bool holds, ApplyJinjaTest(not_in ? "in" : expr.operators[i],
                                                             left, other, budget_));
      if (holds == not_in) return JinjaValue(false);
      left = std::move(right);
    }
    return JinjaValue(true);
  }

  Result EvaluateOperator(const JinjaExpr& expr) {
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
        return GetAttribute(values[0], expr.name);
      case Kind::kSubscript:
        return GetItem(values[0], values[1], budget_);
      case Kind::kSlice:
        return GetSlice(values[0], values[1], values[2], values[3], budget_);
      default: {
        std::string text;
        for (const JinjaValue& value : values) {
          SDAR_ASSIGN_OR_RETURN(const std::string part, PrintText(value, budget_));
          text += part;
        }
        return MakeText(std::move(text), budget_);
      }
    }
  }

  absl::StatusOr<JinjaArguments> EvaluateArguments(const JinjaExpr& expr) {
    JinjaArguments arguments;
    SDAR_ASSIGN_OR_RETURN(arguments.positional, EvaluateOperands(expr, 1));
    for (const auto& [name, value_expr] : expr.named) {
      SDAR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*value_expr));
      arguments.named.emplace_back(name, std::move(value));
    }
    return arguments;
  }

  Result EvaluateFilterOrTest(const JinjaExpr& expr) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*expr.operands[0]));
    SDAR_ASSIGN_OR_RETURN(const JinjaArguments arguments, EvaluateArguments(expr));
    line_ = expr.line;
    if (expr.kind == JinjaExpr::Kind::kFilter) {
      return ApplyJinjaFilter(expr.name, value, arguments, budget_);
    }
    SDAR_ASSIGN_OR_RETURN(const bool holds, ApplyJinjaTest(expr.name, value, arguments, budget_));
    return JinjaValue(holds != expr.negated);
  }

  Result EvaluateCall(const JinjaExpr& expr) {
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

  Result CallMacro(const JinjaMacro& macro, const JinjaArguments& arguments) {
    std::vector<absl::string_view> names;
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
              : JinjaValue::MakeUndefined(absl::StrCat("parameter '", name, "' was not provided"));
      status = value.status();
      if (value.ok()) scope.emplace_back(name, *std::move(value));
    }
    Result text = status.ok() ? CaptureBody(macro.body, std::move(scope)) : Result(status);
    first_scope_ = outer_first;
    return text;
  }

  Result CallFunction(const std::string& name, const JinjaArguments& arguments) {
    if (name == "range") return MakeRange(arguments);
    if (name == "namespace") return MakeNamespace(arguments);
    if (name == "dict") return MakeDictFromNames(arguments);
    if (name == "raise_exception") {
      SDAR_ASSIGN_OR_RETURN(const auto bound, BindRequired(name, arguments, {"message"}));
      SDAR_ASSIGN_OR_RETURN(const std::string message, PrintText(*bound[0], budget_));
      raised_ = true;
      return JinjaError(message);
    }
    return JinjaError(absl::StrCat("the function '", name, "' is not supported"));
  }

  Result MakeRange(const JinjaArguments& arguments) {
    if (!arguments.named.empty() || arguments.positional.empty() ||
        arguments.positional.size() > 3) {
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
    JinjaValues items;
    int64_t value = start;
    while (step > 0 ? value < stop : value > stop) {
      SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode));
      items.emplace_back(value);
      if (__builtin_add_overflow(value, step, &value)) break;
    }
    return MakeSequence(SequenceKind::kRange, std::move(items), budget_);
  }

  Result MakeNamespace(const JinjaArguments& arguments) {
    if (!arguments.positional.empty()) {
      return JinjaError("namespace with positional arguments is not supported");
    }
    namespaces_.push_back(JinjaNamespace{arguments.named});
    return JinjaValue(&namespaces_.back());
  }

  Result MakeDictFromNames(const JinjaArguments& arguments) {
    if (!arguments.positional.empty()) {
      return JinjaError("dict with positional arguments is not supported");
    }
    std::vector<std::pair<JinjaValue, JinjaValue>> items;
    for (const auto& [name, value] : arguments.named) items.emplace_back(JinjaValue(name), value);
    return MakeDict(std::move(items), budget_);
  }

  const JinjaVariables& variables_;
  const JinjaLimits& limits_;
  JinjaBudget& budget_;
  std::deque<JinjaNamespace> namespaces_;  // values point into it
  std::vector<Scope> scopes_;
  size_t first_scope_ = 0;  // of the macro under way
  JinjaValue captured_;
  std::string out_;
  int depth_ = 0;
  int line_ = 1;
  bool raised_ = false;
};

}  // namespace

absl::StatusOr<std::string> RenderJinja(const JinjaBody& body, const JinjaVariables& variables,
                                        const JinjaLimits& limits, JinjaBudget& budget) {
  return Renderer(variables, limits, budget).Run(body);
}

}  // namespace sdar
