// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja_renderer.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja_print.h"
#include "runtime/text/jinja_rendering.h"

namespace sdar {
namespace {

using SequenceKind = JinjaSequence::Kind;

constexpr int kMaxDepth = 400;        // of nested evaluation, macros included
constexpr size_t kUnitsPerNode = 32;  // of work, for one statement or expression

}  // namespace

absl::StatusOr<std::string> JinjaRendering::Run(const JinjaBody& body) {
  const absl::StatusOr<Flow> flow = Execute(body);
  if (flow.ok()) return std::move(out_);
  if (raised_) return flow.status();
  return absl::Status(flow.status().code(),
                      absl::StrCat("line ", line_, ": ", flow.status().message()));
}

absl::Status JinjaRendering::Enter(int line) {
  line_ = line;
  if (depth_ > kMaxDepth) return JinjaError("the template nests or recurses too deep");
  return budget_.Charge(kUnitsPerNode);
}

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::Execute(const JinjaBody& body) {
  const Nesting nesting(depth_);
  for (const auto& statement : body) {
    SDAR_RETURN_IF_ERROR(Enter(statement->line));
    SDAR_ASSIGN_OR_RETURN(const Flow flow, ExecuteOne(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteOne(const JinjaStatement& statement) {
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

absl::Status JinjaRendering::ExecuteSimple(const JinjaStatement& statement) {
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

absl::Status JinjaRendering::Write(absl::string_view text) {
  SDAR_RETURN_IF_ERROR(budget_.Charge(text.size()));
  if (out_.size() + text.size() > limits_.output_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the rendered text exceeds ", limits_.output_bytes, " bytes"));
  }
  out_.append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status JinjaRendering::ExecuteOutput(const JinjaStatement& statement) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*statement.expr));
  if (value.is_string()) return Write(value.text());
  SDAR_ASSIGN_OR_RETURN(const std::string text, PrintText(value, budget_));
  return Write(text);
}

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteIf(const JinjaStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (condition != nullptr) {
      SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*condition));
      if (!value.IsTrue()) continue;
    }
    return Execute(body);
  }
  return Flow::kNext;
}

JinjaRendering::Result JinjaRendering::LoopItems(const JinjaStatement& statement) {
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

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteFor(const JinjaStatement& statement) {
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

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteIteration(
    const JinjaStatement& statement, const std::shared_ptr<const JinjaSequence>& items,
    size_t index) {
  SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode));
  auto loop = std::make_shared<JinjaLoop>();
  loop->items = items;
  loop->index = index;
  scopes_.emplace_back();
  scopes_.back().emplace_back("loop", JinjaValue(std::shared_ptr<const JinjaLoop>(loop)));
  absl::Status status = Assign(statement.target, items->items[index]);
  absl::StatusOr<Flow> flow = status.ok() ? Execute(statement.body) : absl::StatusOr<Flow>(status);
  scopes_.pop_back();
  return flow;
}

JinjaRendering::Result JinjaRendering::Capture(const JinjaStatement& statement) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue text, CaptureBody(statement.body, {}));
  if (statement.expr == nullptr) return text;
  JinjaValue outer = std::exchange(captured_, std::move(text));
  Result value = Evaluate(*statement.expr);
  captured_ = std::move(outer);
  return value;
}

JinjaRendering::Result JinjaRendering::CaptureBody(const JinjaBody& body, Scope scope) {
  std::string outer = std::exchange(out_, std::string());
  scopes_.push_back(std::move(scope));
  const absl::StatusOr<Flow> flow = Execute(body);
  scopes_.pop_back();
  std::string text = std::exchange(out_, std::move(outer));
  SDAR_RETURN_IF_ERROR(flow.status());
  return MakeText(std::move(text), budget_);
}

absl::Status JinjaRendering::ExecuteScoped(const JinjaStatement& statement) {
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

void JinjaRendering::DefineMacro(const JinjaMacro& macro) {
  auto callable = std::make_shared<JinjaCallable>();
  callable->kind = JinjaCallable::Kind::kMacro;
  callable->name = macro.name;
  callable->macro = &macro;
  SetVariable(macro.name, JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(callable))));
}

absl::Status JinjaRendering::Assign(const JinjaTarget& target, const JinjaValue& value) {
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

absl::Status JinjaRendering::AssignParts(const JinjaTarget& target, const JinjaValue& value) {
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

void JinjaRendering::SetIn(Scope& scope, const std::string& name, const JinjaValue& value) {
  for (auto& [variable, old] : scope) {
    if (variable == name) {
      old = value;
      return;
    }
  }
  scope.emplace_back(name, value);
}

void JinjaRendering::SetVariable(const std::string& name, const JinjaValue& value) {
  SetIn(scopes_.back(), name, value);
}

absl::StatusOr<std::string> RenderJinja(const JinjaBody& body, const JinjaVariables& variables,
                                        const JinjaLimits& limits, JinjaBudget& budget) {
  return JinjaRendering(variables, limits, budget).Run(body);
}

}  // namespace sdar
