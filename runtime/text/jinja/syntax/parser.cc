// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/syntax/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/syntax/expression_parser.h"
#include "runtime/text/jinja/syntax/lexer.h"

namespace sdar {
namespace {

using StatementKind = JinjaStatement::Kind;
using StatementPtr = std::unique_ptr<JinjaStatement>;
using ParsedStatement = absl::StatusOr<StatementPtr>;

constexpr size_t kMaxTargets = 16;

class StatementParser : public JinjaExpressionParser {
 public:
  using JinjaExpressionParser::JinjaExpressionParser;

  absl::StatusOr<JinjaBody> ParseTemplate() { return ParseBody({}); }

 private:
  // Statements up to a block that begins with one of `ends`, of which the name is then current.
  absl::StatusOr<JinjaBody> ParseBody(std::initializer_list<absl::string_view> ends) {
    const Level level(level_);
    SDAR_RETURN_IF_ERROR(CheckLevel());
    JinjaBody body;
    while (current().kind != JinjaTokenKind::kEnd) {
      StatementPtr statement;
      if (current().kind == JinjaTokenKind::kData) {
        statement = Make(StatementKind::kData);
        statement->text = current().text;
        Skip();
      } else if (current().kind == JinjaTokenKind::kVariableBegin) {
        SDAR_ASSIGN_OR_RETURN(statement, ParseOutput());
      } else {
        Skip();
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return IsName(end); })) {
          return body;
        }
        SDAR_ASSIGN_OR_RETURN(statement, ParseStatement());
        SDAR_RETURN_IF_ERROR(ExpectBlockEnd());
      }
      body.push_back(std::move(statement));
    }
    if (ends.size() == 0) return body;
    return Unexpected(absl::StrCat("'", *(ends.end() - 1), "'"));
  }

  StatementPtr Make(StatementKind kind) const {
    auto statement = std::make_unique<JinjaStatement>();
    statement->kind = kind;
    statement->line = current().line;
    return statement;
  }

  absl::Status ExpectBlockEnd() {
    if (current().kind != JinjaTokenKind::kBlockEnd) return Unexpected("'%}'");
    Skip();
    return absl::OkStatus();
  }

  // A body that ends with {% end %}, whose name is read.
  absl::StatusOr<JinjaBody> ParseBodyUntil(absl::string_view end) {
    SDAR_RETURN_IF_ERROR(ExpectBlockEnd());
    SDAR_ASSIGN_OR_RETURN(JinjaBody body, ParseBody({end}));
    Skip();
    return body;
  }

  ParsedStatement ParseOutput() {
    StatementPtr statement = Make(StatementKind::kOutput);
    Skip();
    SDAR_ASSIGN_OR_RETURN(statement->expr, ParseTuple(true));
    if (current().kind != JinjaTokenKind::kVariableEnd) return Unexpected("'}}'");
    Skip();
    return statement;
  }

  ParsedStatement ParseStatement() {
    if (current().kind != JinjaTokenKind::kName) return Unexpected("a statement");
    const std::string name = current().text;
    if (name == "if") return ParseIf();
    if (name == "for") return ParseFor();
    if (name == "set") return ParseSet();
    if (name == "macro") return ParseMacro();
    if (name == "with") return ParseWith();
    if (name == "filter") return ParseFilterBlock();
    if (name == "generation") return ParseGeneration();
    if (name == "break" || name == "continue") return ParseJump(name == "break");
    return Error(absl::StrCat("the statement '", name, "' is not supported"));
  }

  ParsedStatement ParseIf() {
    StatementPtr statement = Make(StatementKind::kIf);
    while (true) {
      Skip();  // if or elif
      SDAR_ASSIGN_OR_RETURN(JinjaExprPtr condition, ParseTuple(false));
      SDAR_RETURN_IF_ERROR(ExpectBlockEnd());
      SDAR_ASSIGN_OR_RETURN(JinjaBody body, ParseBody({"elif", "else", "endif"}));
      statement->branches.emplace_back(std::move(condition), std::move(body));
      if (!IsName("elif")) break;
    }
    if (SkipName("else")) {
      SDAR_ASSIGN_OR_RETURN(JinjaBody body, ParseBodyUntil("endif"));
      statement->branches.emplace_back(nullptr, std::move(body));
    } else {
      Skip();
    }
    return statement;
  }

  ParsedStatement ParseFor() {
    StatementPtr statement = Make(StatementKind::kFor);
    Skip();
    SDAR_ASSIGN_OR_RETURN(statement->target, ParseTarget(false));
    if (!SkipName("in")) return Unexpected("'in'");
    SDAR_ASSIGN_OR_RETURN(statement->expr, ParseTuple(false));
    if (SkipName("if")) {
      SDAR_ASSIGN_OR_RETURN(statement->condition, ParseExpression());
    }
    if (IsName("recursive")) return Error("a recursive loop is not supported");
    SDAR_RETURN_IF_ERROR(ExpectBlockEnd());
    ++num_loops_;
    SDAR_ASSIGN_OR_RETURN(statement->body, ParseBody({"else", "endfor"}));
    --num_loops_;
    if (SkipName("else")) {
      SDAR_ASSIGN_OR_RETURN(statement->orelse, ParseBodyUntil("endfor"));
    } else {
      Skip();
    }
    return statement;
  }

  ParsedStatement ParseJump(bool is_break) {
    if (num_loops_ == 0) return Error(absl::StrCat("'", current().text, "' outside a loop"));
    StatementPtr statement = Make(is_break ? StatementKind::kBreak : StatementKind::kContinue);
    Skip();
    return statement;
  }

  ParsedStatement ParseSet() {
    StatementPtr statement = Make(StatementKind::kSet);
    Skip();
    SDAR_ASSIGN_OR_RETURN(statement->target, ParseTarget(true));
    if (SkipOperator("=")) {
      SDAR_ASSIGN_OR_RETURN(statement->expr, ParseTuple(true));
      return statement;
    }
    statement->kind = StatementKind::kSetBlock;
    if (IsOperator("|")) {
      SDAR_ASSIGN_OR_RETURN(statement->expr, ParseFilter(Captured(), false));
    }
    SDAR_ASSIGN_OR_RETURN(statement->body, ParseScopedBody("endset"));
    return statement;
  }

  // A body of its own scope, which breaks and continues cannot leave.
  absl::StatusOr<JinjaBody> ParseScopedBody(absl::string_view end) {
    const int num_loops = std::exchange(num_loops_, 0);
    ++num_scopes_;
    SDAR_ASSIGN_OR_RETURN(JinjaBody body, ParseBodyUntil(end));
    --num_scopes_;
    num_loops_ = num_loops;
    return body;
  }

  JinjaExprPtr Captured() const {
    auto captured = std::make_unique<JinjaExpr>();
    captured->kind = JinjaExpr::Kind::kCaptured;
    captured->line = current().line;
    return captured;
  }

  ParsedStatement ParseFilterBlock() {
    StatementPtr statement = Make(StatementKind::kFilter);
    Skip();
    SDAR_ASSIGN_OR_RETURN(statement->expr, ParseFilter(Captured(), true));
    SDAR_ASSIGN_OR_RETURN(statement->body, ParseScopedBody("endfilter"));
    return statement;
  }

  // {% generation %} marks what a model wrote, for training; it changes no text.
  ParsedStatement ParseGeneration() {
    StatementPtr statement = Make(StatementKind::kScope);
    Skip();
    SDAR_ASSIGN_OR_RETURN(statement->body, ParseScopedBody("endgeneration"));
    return statement;
  }

  ParsedStatement ParseWith() {
    StatementPtr statement = Make(StatementKind::kWith);
    Skip();
    while (current().kind != JinjaTokenKind::kBlockEnd) {
      if (!statement->assignments.empty()) SDAR_RETURN_IF_ERROR(ExpectOperator(","));
      SDAR_ASSIGN_OR_RETURN(JinjaTarget target, ParseSingleTarget(false));
      SDAR_RETURN_IF_ERROR(ExpectOperator("="));
      SDAR_ASSIGN_OR_RETURN(JinjaExprPtr value, ParseExpression());
      statement->assignments.emplace_back(std::move(target), std::move(value));
    }
    SDAR_ASSIGN_OR_RETURN(statement->body, ParseScopedBody("endwith"));
    return statement;
  }

  ParsedStatement ParseMacro() {
    // Elsewhere a macro would see variables that are gone when it is called.
    if (num_loops_ > 0 || num_scopes_ > 0) return Error("a macro inside a block is not supported");
    StatementPtr statement = Make(StatementKind::kMacro);
    statement->macro = std::make_unique<JinjaMacro>();
    JinjaMacro& macro = *statement->macro;
    Skip();
    SDAR_ASSIGN_OR_RETURN(macro.name, ExpectName());
    SDAR_RETURN_IF_ERROR(ExpectOperator("("));
    while (!IsOperator(")")) {
      SDAR_ASSIGN_OR_RETURN(std::string name, ExpectName());
      JinjaExprPtr value;
      if (SkipOperator("=")) {
        SDAR_ASSIGN_OR_RETURN(value, ParseExpression());
      }
      macro.parameters.emplace_back(std::move(name), std::move(value));
      if (!SkipOperator(",")) break;
    }
    SDAR_RETURN_IF_ERROR(ExpectOperator(")"));
    SDAR_ASSIGN_OR_RETURN(macro.body, ParseScopedBody("endmacro"));
    return statement;
  }

  // a | a.b | (a, b) | a, b
  absl::StatusOr<JinjaTarget> ParseTarget(bool with_namespace) {
    SDAR_ASSIGN_OR_RETURN(JinjaTarget first, ParseSingleTarget(with_namespace));
    if (!IsOperator(",")) return first;
    JinjaTarget tuple;
    tuple.parts.push_back(std::move(first));
    while (SkipOperator(",")) {
      if (IsName("in") || IsOperator("=") || IsOperator(")")) break;
      if (tuple.parts.size() >= kMaxTargets) return Error("too many targets");
      SDAR_ASSIGN_OR_RETURN(JinjaTarget part, ParseSingleTarget(with_namespace));
      tuple.parts.push_back(std::move(part));
    }
    return tuple;
  }

  absl::StatusOr<JinjaTarget> ParseSingleTarget(bool with_namespace) {
    const Level level(level_);
    SDAR_RETURN_IF_ERROR(CheckLevel());
    if (SkipOperator("(")) {
      SDAR_ASSIGN_OR_RETURN(JinjaTarget tuple, ParseTarget(with_namespace));
      SDAR_RETURN_IF_ERROR(ExpectOperator(")"));
      return tuple;
    }
    JinjaTarget target;
    SDAR_ASSIGN_OR_RETURN(target.name, ExpectName());
    for (const absl::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (target.name == constant) return Error(absl::StrCat("can't assign to '", constant, "'"));
    }
    if (with_namespace && SkipOperator(".")) {
      SDAR_ASSIGN_OR_RETURN(target.attribute, ExpectName());
    }
    return target;
  }

  int num_loops_ = 0;   // loops around the current statement that a break could leave
  int num_scopes_ = 0;  // other scopes around it
};

}  // namespace

absl::StatusOr<JinjaBody> ParseJinja(absl::string_view source) {
  SDAR_ASSIGN_OR_RETURN(std::vector<JinjaToken> tokens, LexJinja(source));
  return StatementParser(std::move(tokens)).ParseTemplate();
}

}  // namespace sdar
