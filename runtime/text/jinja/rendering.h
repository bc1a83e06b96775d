// SPDX-License-Identifier: Apache-2.0
// One rendering of a chat template under way. Only the renderer's own files include this.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/arguments.h"
#include "runtime/text/jinja/renderer.h"
#include "runtime/text/jinja/syntax/ast.h"
#include "runtime/text/jinja/value.h"

namespace sdar {

// Walks the tree of a template. Statements are in renderer.cc, expressions in
// evaluation.cc.
class JinjaRendering {
 public:
  JinjaRendering(const JinjaVariables& variables, JinjaBudget& budget)
      : variables_(variables), budget_(budget), scopes_(1), out_(budget) {}

  // Renders the template. Call once.
  absl::StatusOr<std::string> Run(const JinjaBody& body);

 private:
  using Result = absl::StatusOr<JinjaValue>;
  // Names are the template's, which outlives the rendering.
  using Scope = std::vector<std::pair<absl::string_view, JinjaValue>>;
  enum class Flow { kNext, kBreak, kContinue };

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

  // Begins a node: notes its line for errors and charges for it.
  absl::Status Enter(int line);

  // Statements.
  absl::StatusOr<Flow> Execute(const JinjaBody& body);
  absl::StatusOr<Flow> ExecuteOne(const JinjaStatement& statement);
  absl::Status ExecuteSimple(const JinjaStatement& statement);
  absl::Status Write(absl::string_view text);
  absl::Status ExecuteOutput(const JinjaStatement& statement);
  absl::StatusOr<Flow> ExecuteIf(const JinjaStatement& statement);
  // The items that a loop runs over: those its filter keeps. The filter does not see `loop`.
  absl::StatusOr<std::shared_ptr<const JinjaSequence>> LoopItems(const JinjaStatement& statement);
  absl::StatusOr<Flow> ExecuteFor(const JinjaStatement& statement);
  // loop: what the body sees as `loop`, set to the item.
  absl::StatusOr<Flow> ExecuteIteration(const JinjaStatement& statement,
                                        const std::shared_ptr<const JinjaLoop>& loop);
  // The output of a body in a scope of its own, through the statement's filters.
  Result Capture(const JinjaStatement& statement);
  Result CaptureBody(const JinjaBody& body, Scope scope);
  // {% with %} and bare scopes. A with's values do not see each other.
  absl::Status ExecuteScoped(const JinjaStatement& statement);
  absl::Status DefineMacro(const JinjaMacro& macro);
  absl::Status Assign(const JinjaTarget& target, const JinjaValue& value);
  absl::Status AssignParts(const JinjaTarget& target, const JinjaValue& value);
  absl::Status SetAttribute(JinjaNamespace& space, const std::string& name,
                            const JinjaValue& value);
  absl::Status SetVariable(const std::string& name, const JinjaValue& value);

  // The value of `name` among `variables`, or nullptr. Pays for the search.
  template <typename Name>
  absl::StatusOr<JinjaValue*> FindIn(std::vector<std::pair<Name, JinjaValue>>& variables,
                                     absl::string_view name);

  // The innermost variable of that name that the code under way can see: a macro sees its own
  // scopes, the template's outermost one and the variables of the rendering.
  Result Lookup(const std::string& name);

  // Expressions.
  Result Evaluate(const JinjaExpr& expr);
  Result EvaluateKind(const JinjaExpr& expr);
  absl::StatusOr<JinjaValues> EvaluateOperands(const JinjaExpr& expr, size_t first);
  Result EvaluateContainer(const JinjaExpr& expr);
  // and, or and conditions, which evaluate only what they need.
  Result EvaluateChoice(const JinjaExpr& expr);
  Result EvaluateCompare(const JinjaExpr& expr);
  Result EvaluateOperator(const JinjaExpr& expr);
  absl::StatusOr<JinjaArguments> EvaluateArguments(const JinjaExpr& expr);
  Result EvaluateFilterOrTest(const JinjaExpr& expr);
  Result EvaluateCall(const JinjaExpr& expr);
  Result CallMacro(const JinjaMacro& macro, const JinjaArguments& arguments);
  Result CallFunction(const std::string& name, const JinjaArguments& arguments);
  Result MakeRange(const JinjaArguments& arguments);
  Result MakeNamespace(const JinjaArguments& arguments);
  Result MakeDictFromNames(const JinjaArguments& arguments);

  const JinjaVariables& variables_;
  JinjaBudget& budget_;
  std::deque<JinjaNamespace> namespaces_;  // values point into it
  std::vector<Scope> scopes_;
  size_t first_scope_ = 0;  // of the macro under way
  JinjaValue captured_;
  JinjaTextBuilder out_;
  int depth_ = 0;
  int line_ = 1;
  bool raised_ = false;
};

}  // namespace sdar
