// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/renderer.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/rendering.h"

namespace sdar {
namespace {

using SequenceKind = JinjaSequence::Kind;

constexpr int kMaxDepth = 400;  // of nested evaluation, macros included
constexpr absl::string_view kFunctions[] = {"range", "namespace", "dict", "raise_exception",
                                            "strftime_now"};
constexpr size_t kUnitsPerNode = 32;  // of work, for one statement or expression

}  // namespace

absl::StatusOr<std::string> JinjaRendering::Run(const JinjaBody& body) {
  const absl::StatusOr<Flow> flow = Execute(body);
  if (flow.ok()) return out_.Take();
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
      return DefineMacro(*statement.macro);
    case Kind::kSetBlock: {
      SDAR_ASSIGN_OR_RETURN(JinjaValue value, Capture(statement));
      return Assign(statement.target, value);
    }
    case Kind::kFilter: {
      SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Capture(statement));
      SDAR_ASSIGN_OR_RETURN(const JinjaValue text, PrintValue(value, budget_));
      return Write(text.text());
    }
    default:
      return ExecuteScoped(statement);
  }
}

absl::Status JinjaRendering::Write(absl::string_view text) {
  const size_t limit = budget_.limits().output_bytes;
  if (out_.size() + text.size() > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the rendered text exceeds ", limit, " bytes"));
  }
  return out_.Append(text);
}

absl::Status JinjaRendering::ExecuteOutput(const JinjaStatement& statement) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*statement.expr));
  SDAR_ASSIGN_OR_RETURN(const JinjaValue text, PrintValue(value, budget_));
  return Write(text.text());
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

absl::StatusOr<std::shared_ptr<const JinjaSequence>> JinjaRendering::LoopItems(
    const JinjaStatement& statement) {
  SDAR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*statement.expr));
  SDAR_ASSIGN_OR_RETURN(const auto items, Iterate(value, budget_));
  if (statement.condition == nullptr) return items;
  JinjaItems kept(budget_);
  for (const JinjaValue& item : items->items) {
    SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode));
    scopes_.emplace_back();
    absl::Status status = Assign(statement.target, item);
    Result condition = status.ok() ? Evaluate(*statement.condition) : Result(status);
    scopes_.pop_back();
    SDAR_RETURN_IF_ERROR(condition.status());
    if (condition->IsTrue()) SDAR_RETURN_IF_ERROR(kept.Add(item));
  }
  SDAR_ASSIGN_OR_RETURN(const JinjaValue list, MakeSequence(SequenceKind::kList, std::move(kept)));
  return list.shared_sequence();
}

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteFor(const JinjaStatement& statement) {
  SDAR_ASSIGN_OR_RETURN(const auto items, LoopItems(statement));
  if (items->items.empty()) {
    scopes_.emplace_back();
    absl::StatusOr<Flow> flow = Execute(statement.orelse);
    scopes_.pop_back();
    return flow;
  }
  std::shared_ptr<JinjaLoop> loop;
  for (size_t index = 0; index < items->items.size(); ++index) {
    // A body may keep the loop's state beyond its own item; else one serves all of them.
    if (loop == nullptr || loop.use_count() > 1) {
      SDAR_RETURN_IF_ERROR(budget_.Allocate(sizeof(JinjaLoop) + 32));
      loop = std::make_shared<JinjaLoop>();
      loop->items = items;
    }
    loop->index = index;
    SDAR_ASSIGN_OR_RETURN(const Flow flow, ExecuteIteration(statement, loop));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

absl::StatusOr<JinjaRendering::Flow> JinjaRendering::ExecuteIteration(
    const JinjaStatement& statement, const std::shared_ptr<const JinjaLoop>& loop) {
  SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode));
  scopes_.emplace_back();
  scopes_.back().emplace_back("loop", JinjaValue(loop));
  absl::Status status = Assign(statement.target, loop->items->items[loop->index]);
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
  JinjaTextBuilder outer = std::exchange(out_, JinjaTextBuilder(budget_));
  scopes_.push_back(std::move(scope));
  const absl::StatusOr<Flow> flow = Execute(body);
  scopes_.pop_back();
  JinjaTextBuilder text = std::exchange(out_, std::move(outer));
  SDAR_RETURN_IF_ERROR(flow.status());
  return MakeText(std::move(text));
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

absl::Status JinjaRendering::DefineMacro(const JinjaMacro& macro) {
  SDAR_RETURN_IF_ERROR(budget_.Allocate(sizeof(JinjaCallable) + macro.name.size() + 32));
  auto callable = std::make_shared<JinjaCallable>();
  callable->kind = JinjaCallable::Kind::kMacro;
  callable->name = macro.name;
  callable->macro = &macro;
  return SetVariable(macro.name,
                     JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(callable))));
}

absl::Status JinjaRendering::Assign(const JinjaTarget& target, const JinjaValue& value) {
  if (!target.parts.empty()) return AssignParts(target, value);
  if (target.attribute.empty()) {
    return SetVariable(target.name, value);
  }
  SDAR_ASSIGN_OR_RETURN(const JinjaValue space, Lookup(target.name));
  if (space.space() == nullptr) {
    return JinjaError(absl::StrCat("cannot assign the attribute '", Shorten(target.attribute),
                                   "' of '", Shorten(target.name), "', which is no namespace"));
  }
  return SetAttribute(*space.space(), target.attribute, value);
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

template <typename Name>
absl::StatusOr<JinjaValue*> JinjaRendering::FindIn(
    std::vector<std::pair<Name, JinjaValue>>& variables, absl::string_view name) {
  SDAR_RETURN_IF_ERROR(budget_.Charge(variables.size() * (4 + name.size() / 8)));
  for (auto& [variable, value] : variables) {
    if (variable == name) return &value;
  }
  return nullptr;
}

absl::Status JinjaRendering::SetAttribute(JinjaNamespace& space, const std::string& name,
                                          const JinjaValue& value) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue* const old, FindIn(space.attributes, name));
  if (old != nullptr) {
    *old = value;
    return absl::OkStatus();
  }
  SDAR_RETURN_IF_ERROR(budget_.Allocate(2 * sizeof(space.attributes[0]) + name.size()));
  space.attributes.emplace_back(name, value);
  return absl::OkStatus();
}

absl::Status JinjaRendering::SetVariable(const std::string& name, const JinjaValue& value) {
  SDAR_ASSIGN_OR_RETURN(JinjaValue* const old, FindIn(scopes_.back(), name));
  if (old != nullptr) {
    *old = value;
    return absl::OkStatus();
  }
  // The two that most scopes hold are gone with them; more count, for they add up.
  constexpr size_t kFreeVariables = 4;
  if (scopes_.back().size() >= kFreeVariables) {
    SDAR_RETURN_IF_ERROR(budget_.Allocate(2 * sizeof(scopes_.back()[0])));
  }
  scopes_.back().emplace_back(name, value);
  return absl::OkStatus();
}

JinjaRendering::Result JinjaRendering::Lookup(const std::string& name) {
  for (size_t i = scopes_.size(); i-- > first_scope_;) {
    SDAR_ASSIGN_OR_RETURN(const JinjaValue* value, FindIn(scopes_[i], name));
    if (value != nullptr) return *value;
  }
  SDAR_ASSIGN_OR_RETURN(const JinjaValue* global, FindIn(scopes_[0], name));
  if (global != nullptr) return *global;
  SDAR_RETURN_IF_ERROR(budget_.Charge(kUnitsPerNode + name.size()));
  if (const auto found = variables_.find(name); found != variables_.end()) return found->second;
  if (std::find(std::begin(kFunctions), std::end(kFunctions), name) == std::end(kFunctions)) {
    return MakeUndefined(absl::StrCat("'", Shorten(name), "' is undefined"), budget_);
  }
  SDAR_RETURN_IF_ERROR(budget_.Allocate(sizeof(JinjaCallable) + 32));
  auto function = std::make_shared<JinjaCallable>();
  function->name = name;
  return JinjaValue(std::shared_ptr<const JinjaCallable>(std::move(function)));
}

absl::StatusOr<std::string> RenderJinja(const JinjaBody& body, const JinjaVariables& variables,
                                        JinjaBudget& budget) {
  return JinjaRendering(variables, budget).Run(body);
}

}  // namespace sdar
