// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/syntax/expression_parser.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"

namespace sdar {

namespace {

constexpr int kMaxLevel = 100;      // of the parser's recursion
constexpr int kMaxExprDepth = 200;  // of a tree, which a chain like a + b + c also deepens

}  // namespace

absl::Status JinjaExpressionParser::Error(absl::string_view what) const {
  return ShortInvalidArgument(absl::StrCat("line ", current().line, ": ", what));
}

absl::Status JinjaExpressionParser::Unexpected(absl::string_view expected) const {
  return Error(absl::StrCat("expected ", expected, ", got '", Shorten(current().text), "'"));
}

absl::Status JinjaExpressionParser::CheckLevel() const {
  return level_ <= kMaxLevel ? absl::OkStatus() : Error("the template nests too deep");
}

bool JinjaExpressionParser::IsOperator(absl::string_view text) const {
  return current().kind == JinjaTokenKind::kOperator && current().text == text;
}

bool JinjaExpressionParser::IsName(absl::string_view text) const {
  return current().kind == JinjaTokenKind::kName && current().text == text;
}

bool JinjaExpressionParser::SkipOperator(absl::string_view text) {
  const bool found = IsOperator(text);
  if (found) Skip();
  return found;
}

bool JinjaExpressionParser::SkipName(absl::string_view text) {
  const bool found = IsName(text);
  if (found) Skip();
  return found;
}

absl::Status JinjaExpressionParser::ExpectOperator(absl::string_view text) {
  if (SkipOperator(text)) return absl::OkStatus();
  return Unexpected(absl::StrCat("'", text, "'"));
}

absl::StatusOr<std::string> JinjaExpressionParser::ExpectName() {
  if (current().kind != JinjaTokenKind::kName) return Unexpected("a name");
  std::string name = current().text;
  Skip();
  return name;
}

JinjaExprPtr JinjaExpressionParser::Make(JinjaExprKind kind) const {
  auto expr = std::make_unique<JinjaExpr>();
  expr->kind = kind;
  expr->line = current().line;
  return expr;
}

void JinjaExpressionParser::AddOperand(JinjaExpr& expr, JinjaExprPtr operand) {
  if (operand != nullptr) expr.depth = std::max(expr.depth, operand->depth + 1);
  expr.operands.push_back(std::move(operand));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::Finish(JinjaExprPtr expr) const {
  if (expr->depth > kMaxExprDepth) return Error("an expression nests too deep");
  return expr;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseTuple(bool with_condition,
                                                                bool parenthesized) {
  JinjaExprPtr tuple = Make(JinjaExprKind::kTuple);
  bool is_tuple = false;
  const auto at_end = [&] {
    return current().kind == JinjaTokenKind::kVariableEnd ||
           current().kind == JinjaTokenKind::kBlockEnd || IsOperator(")");
  };
  while (!at_end()) {
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr item, with_condition ? ParseExpression() : ParseOr());
    AddOperand(*tuple, std::move(item));
    if (!SkipOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && tuple->operands.size() == 1) return std::move(tuple->operands[0]);
  if (!is_tuple && !parenthesized) return Unexpected("an expression");
  return Finish(std::move(tuple));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseExpression() {
  const Level level(level_);
  SDAR_RETURN_IF_ERROR(CheckLevel());
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr value, ParseOr());
  while (IsName("if")) {
    JinjaExprPtr condition = Make(JinjaExprKind::kCondition);
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr test, ParseOr());
    JinjaExprPtr otherwise;
    if (SkipName("else")) {
      SDAR_ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    AddOperand(*condition, std::move(test));
    AddOperand(*condition, std::move(value));
    AddOperand(*condition, std::move(otherwise));
    SDAR_ASSIGN_OR_RETURN(value, Finish(std::move(condition)));
  }
  return value;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseOr() {
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr left, ParseAnd());
  while (IsName("or")) {
    JinjaExprPtr expr = Make(JinjaExprKind::kOr);
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr right, ParseAnd());
    AddOperand(*expr, std::move(left));
    AddOperand(*expr, std::move(right));
    SDAR_ASSIGN_OR_RETURN(left, Finish(std::move(expr)));
  }
  return left;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseAnd() {
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr left, ParseNot());
  while (IsName("and")) {
    JinjaExprPtr expr = Make(JinjaExprKind::kAnd);
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr right, ParseNot());
    AddOperand(*expr, std::move(left));
    AddOperand(*expr, std::move(right));
    SDAR_ASSIGN_OR_RETURN(left, Finish(std::move(expr)));
  }
  return left;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseNot() {
  const Level level(level_);
  SDAR_RETURN_IF_ERROR(CheckLevel());
  if (!IsName("not")) return ParseCompare();
  JinjaExprPtr expr = Make(JinjaExprKind::kUnary);
  expr->name = "not";
  Skip();
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr operand, ParseNot());
  AddOperand(*expr, std::move(operand));
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseCompare() {
  static constexpr absl::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr left, ParseSum());
  JinjaExprPtr expr = Make(JinjaExprKind::kCompare);
  while (true) {
    const bool symbol = current().kind == JinjaTokenKind::kOperator &&
                        std::find(std::begin(kOperators), std::end(kOperators), current().text) !=
                            std::end(kOperators);
    if (symbol || IsName("in")) {
      expr->operators.push_back(current().text);
    } else if (IsName("not") && next().kind == JinjaTokenKind::kName && next().text == "in") {
      Skip();
      expr->operators.emplace_back("not in");
    } else {
      break;
    }
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr right, ParseSum());
    if (expr->operands.empty()) AddOperand(*expr, std::move(left));
    AddOperand(*expr, std::move(right));
  }
  if (expr->operators.empty()) return left;
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseBinaryChain(
    std::initializer_list<absl::string_view> operators, Parsed (JinjaExpressionParser::*parse)()) {
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr left, (this->*parse)());
  while (std::any_of(operators.begin(), operators.end(),
                     [&](absl::string_view op) { return IsOperator(op); })) {
    JinjaExprPtr expr = Make(JinjaExprKind::kBinary);
    expr->name = current().text;
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr right, (this->*parse)());
    AddOperand(*expr, std::move(left));
    AddOperand(*expr, std::move(right));
    SDAR_ASSIGN_OR_RETURN(left, Finish(std::move(expr)));
  }
  return left;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseSum() {
  return ParseBinaryChain({"+", "-"}, &JinjaExpressionParser::ParseConcat);
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseConcat() {
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr first, ParseProduct());
  if (!IsOperator("~")) return first;
  JinjaExprPtr expr = Make(JinjaExprKind::kConcat);
  AddOperand(*expr, std::move(first));
  while (SkipOperator("~")) {
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr part, ParseProduct());
    AddOperand(*expr, std::move(part));
  }
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseProduct() {
  return ParseBinaryChain({"*", "/", "//", "%"}, &JinjaExpressionParser::ParsePower);
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParsePower() {
  SDAR_ASSIGN_OR_RETURN(JinjaExprPtr base, ParseUnary(true));
  if (IsOperator("**")) return Error("the operator ** is not supported");
  return base;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseUnary(bool with_filter) {
  const Level level(level_);
  SDAR_RETURN_IF_ERROR(CheckLevel());
  JinjaExprPtr expr;
  if (IsOperator("-") || IsOperator("+")) {
    expr = Make(JinjaExprKind::kUnary);
    expr->name = current().text;
    Skip();
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr operand, ParseUnary(false));
    AddOperand(*expr, std::move(operand));
  } else {
    SDAR_ASSIGN_OR_RETURN(expr, ParsePrimary());
  }
  SDAR_ASSIGN_OR_RETURN(expr, ParsePostfix(std::move(expr)));
  return with_filter ? ParseFilterChain(std::move(expr)) : Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseConstantName(const std::string& name) {
  JinjaExprPtr expr = Make(JinjaExprKind::kConstant);
  Skip();
  if (name == "true" || name == "True") {
    expr->constant = JinjaValue(true);
  } else if (name == "false" || name == "False") {
    expr->constant = JinjaValue(false);
  } else if (name != "none" && name != "None") {
    expr->kind = JinjaExprKind::kName;
    expr->name = name;
  }
  return expr;
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParsePrimary() {
  const JinjaToken& token = current();
  if (token.kind == JinjaTokenKind::kName) return ParseConstantName(token.text);
  JinjaExprPtr expr = Make(JinjaExprKind::kConstant);
  if (token.kind == JinjaTokenKind::kString) {
    std::string text;
    for (; current().kind == JinjaTokenKind::kString; Skip()) text += current().text;
    expr->constant = JinjaValue(std::move(text));
    return expr;
  }
  if (token.kind == JinjaTokenKind::kInteger || token.kind == JinjaTokenKind::kFloat) {
    expr->constant = token.kind == JinjaTokenKind::kInteger ? JinjaValue(token.integer)
                                                            : JinjaValue(token.number);
    Skip();
    return expr;
  }
  if (SkipOperator("(")) {
    SDAR_ASSIGN_OR_RETURN(expr, ParseTuple(true, true));
    SDAR_RETURN_IF_ERROR(ExpectOperator(")"));
    return expr;
  }
  if (IsOperator("[")) return ParseList();
  if (IsOperator("{")) return ParseDict();
  return Unexpected("an expression");
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseList() {
  JinjaExprPtr expr = Make(JinjaExprKind::kList);
  Skip();
  while (!IsOperator("]")) {
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr item, ParseExpression());
    AddOperand(*expr, std::move(item));
    if (!SkipOperator(",")) break;
  }
  SDAR_RETURN_IF_ERROR(ExpectOperator("]"));
  return Finish(std::move(expr));
}

JinjaExpressionParser::Parsed JinjaExpressionParser::ParseDict() {
  JinjaExprPtr expr = Make(JinjaExprKind::kDict);
  Skip();
  while (!IsOperator("}")) {
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr key, ParseExpression());
    SDAR_RETURN_IF_ERROR(ExpectOperator(":"));
    SDAR_ASSIGN_OR_RETURN(JinjaExprPtr value, ParseExpression());
    AddOperand(*expr, std::move(key));
    AddOperand(*expr, std::move(value));
    if (!SkipOperator(",")) break;
  }
  SDAR_RETURN_IF_ERROR(ExpectOperator("}"));
  return Finish(std::move(expr));
}

}  // namespace sdar
