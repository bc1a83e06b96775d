// SPDX-License-Identifier: Apache-2.0
// What follows a value in an expression: attributes, subscripts, calls, filters and tests.
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/text/jinja/library/filters.h"
#include "runtime/text/jinja/library/tests.h"
#include "runtime/text/jinja/syntax/expression_parser.h"

namespace sdar {

JinjaExpressionParser::Parsed JinjaExpressionParser::ParsePostfix(JinjaExprPtr value) {
  while (true) {
    if (IsOperator(".")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseAttribute(std::move(value)));
    } else if (IsOperator("[")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseSubscript(std::move(value)));
    } else if (IsOperator("(")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseCall(std::move(value)));
    } else {
      return value;
    }
  }
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseAttribute(JinjaExprPtr value) {
  JinjaExprPtr expr = Make(JinjaExprKind::kAttribute);
  Skip();
  AddOperand(*expr, std::move(value));
  if (current().kind == JinjaTokenKind::kInteger) {
    expr->kind = JinjaExprKind::kSubscript;
    JinjaExprPtr index = Make(JinjaExprKind::kConstant);
    index->constant = JinjaValue(current().integer);
    Skip();
    AddOperand(*expr, std::move(index));
  } else {
    SDAR_ASSIGN_OR_RETURN(expr->name, ExpectName());
  }
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseSubscript(JinjaExprPtr value) {
  JinjaExprPtr expr = Make(JinjaExprKind::kSubscript);
  Skip();
  AddOperand(*expr, std::move(value));
  JinjaExprPtr part;
  if (!IsOperator(":")) {
    SDAR_ASSIGN_OR_RETURN(part, ParseExpression());
  }
  AddOperand(*expr, std::move(part));
  for (int i = 0; i < 2 && SkipOperator(":"); ++i) {
    expr->kind = JinjaExprKind::kSlice;
    JinjaExprPtr bound;
    if (!IsOperator(":") && !IsOperator("]")) {
      SDAR_ASSIGN_OR_RETURN(bound, ParseExpression());
    }
    AddOperand(*expr, std::move(bound));
  }
  if (expr->kind == JinjaExprKind::kSlice) expr->operands.resize(4);
  if (IsOperator(",")) return Error("a subscript of several keys is not supported");
  SDAR_RETURN_IF_ERROR(ExpectOperator("]"));
  return Finish(std::move(expr));
}

absl::Status JinjaExpressionParser::ParseArguments(JinjaExpr& expr) {
  SDAR_RETURN_IF_ERROR(ExpectOperator("("));
  while (!IsOperator(")")) {
    if (IsOperator("*") || IsOperator("**")) return Error("arguments by * are not supported");
    const bool named = current().kind == JinjaTokenKind::kName &&
                       next().kind == JinjaTokenKind::kOperator && next().text == "=";
    std::string name;
    if (named) {
      name = current().text;
      Skip();
      Skip();
    } else if (!expr.named.empty()) {
      return Error("a positional argument follows a named one");
    }
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr value, ParseExpression());
    if (named) {
      expr.depth = std::max(expr.depth, value->depth + 1);
      expr.named.emplace_back(std::move(name), std::move(value));
    } else {
      AddOperand(expr, std::move(value));
    }
    if (!SkipOperator(",")) break;
  }
  return ExpectOperator(")");
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseCall(JinjaExprPtr callee) {
  JinjaExprPtr expr = Make(JinjaExprKind::kCall);
  AddOperand(*expr, std::move(callee));
  SDAR_RETURN_IF_ERROR(ParseArguments(*expr));
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseFilter(JinjaExprPtr value,
                                                                 bool name_first) {
  while (name_first || SkipOperator("|")) {
    name_first = false;
    JinjaExprPtr expr = Make(JinjaExprKind::kFilter);
    SDAR_ASSIGN_OR_RETURN(expr->name, ExpectName());
    if (!IsKnownJinjaFilter(expr->name)) {
      return Error(absl::StrCat("the filter '", expr->name, "' is not supported"));
    }
    AddOperand(*expr, std::move(value));
    if (IsOperator("(")) SDAR_RETURN_IF_ERROR(ParseArguments(*expr));
    SDAR_ASSIGN_OR_RETURN(value, Finish(std::move(expr)));
  }
  return value;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseFilterChain(JinjaExprPtr value) {
  while (true) {
    if (IsOperator("|")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseFilter(std::move(value), false));
    } else if (IsName("is")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseTest(std::move(value)));
    } else if (IsOperator("(")) {
      SDAR_ASSIGN_OR_RETURN(value, ParseCall(std::move(value)));
    } else {
      return value;
    }
  }
}

bool JinjaExpressionParser::BeginsTestArgument() const {
  switch (current().kind) {
    case JinjaTokenKind::kString:
    case JinjaTokenKind::kInteger:
    case JinjaTokenKind::kFloat:
      return true;
    case JinjaTokenKind::kName:
      return !IsName("else") && !IsName("or") && !IsName("and") && !IsName("if") &&
             !IsName("not") && !IsName("in");
    default:
      return IsOperator("[") || IsOperator("{");
  }
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseTest(JinjaExprPtr value) {
  JinjaExprPtr expr = Make(JinjaExprKind::kTest);
  Skip();
  expr->negated = SkipName("not");
  SDAR_ASSIGN_OR_RETURN(expr->name, ExpectName());
  if (!IsKnownJinjaTest(expr->name)) {
    return Error(absl::StrCat("the test '", expr->name, "' is not supported"));
  }
  AddOperand(*expr, std::move(value));
  if (IsOperator("(")) {
    SDAR_RETURN_IF_ERROR(ParseArguments(*expr));
  } else if (BeginsTestArgument()) {
    if (IsName("is")) return Error("tests cannot be chained with is");
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr argument, ParsePrimary());
    SDAR_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    AddOperand(*expr, std::move(argument));
  }
  return Finish(std::move(expr));
}

}  // namespace sdar
