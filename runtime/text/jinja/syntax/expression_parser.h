// SPDX-License-Identifier: Apache-2.0
// Parses the expressions of chat templates, with the precedence of Jinja's own parser (jinja2
// 3.1, parser.py).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/syntax/ast.h"
#include "runtime/text/jinja/syntax/lexer.h"

namespace sdar {

class JinjaExpressionParser {
 public:
  explicit JinjaExpressionParser(std::vector<JinjaToken> tokens) : tokens_(std::move(tokens)) {}

 protected:
  using Parsed = absl::StatusOr<JinjaExprPtr>;

  // One expression, or a tuple where commas follow. `with_condition` allows `a if b else c`.
  Parsed ParseTuple(bool with_condition, bool parenthesized = false);
  Parsed ParseExpression();
  // Chains `| filter`s onto `value`; at least one where `name_first` says that the pipe was read.
  Parsed ParseFilter(JinjaExprPtr value, bool name_first);
  Parsed ParseFilterChain(JinjaExprPtr value);
  // "(a, b, c=d)" into `expr`.
  absl::Status ParseArguments(JinjaExpr& expr);

  const JinjaToken& current() const { return tokens_[position_]; }
  const JinjaToken& next() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  void Skip() {
    if (position_ + 1 < tokens_.size()) ++position_;
  }
  bool IsOperator(absl::string_view text) const;
  bool IsName(absl::string_view text) const;
  bool SkipOperator(absl::string_view text);
  bool SkipName(absl::string_view text);
  absl::Status ExpectOperator(absl::string_view text);
  absl::StatusOr<std::string> ExpectName();
  absl::Status Error(absl::string_view what) const;
  absl::Status Unexpected(absl::string_view expected) const;

  // Recursion of the parser, which bounds that of everything that walks the tree.
  class Level {
   public:
    explicit Level(int& level) : level_(level) { ++level_; }
    ~Level() { --level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& level_;
  };
  absl::Status CheckLevel() const;
  int level_ = 0;

 private:
  Parsed ParseOr();
  Parsed ParseAnd();
  Parsed ParseNot();
  Parsed ParseCompare();
  Parsed ParseSum();
  Parsed ParseConcat();
  Parsed ParseProduct();
  Parsed ParsePower();
  Parsed ParseUnary(bool with_filter);
  Parsed ParsePrimary();
  Parsed ParseConstantName(const std::string& name);
  Parsed ParseList();
  Parsed ParseDict();
  Parsed ParsePostfix(JinjaExprPtr value);
  Parsed ParseSubscript(JinjaExprPtr value);
  Parsed ParseAttribute(JinjaExprPtr value);
  Parsed ParseCall(JinjaExprPtr callee);
  Parsed ParseTest(JinjaExprPtr value);
  bool BeginsTestArgument() const;
  // A sequence of left-associative binary operators.
  Parsed ParseBinaryChain(std::initializer_list<absl::string_view> operators,
                          Parsed (JinjaExpressionParser::*parse)());

  JinjaExprPtr Make(JinjaExpr::Kind kind) const;
  // Adds an operand (null allowed) and counts its levels.
  static void AddOperand(JinjaExpr& expr, JinjaExprPtr operand);
  // Refuses trees too deep to walk.
  Parsed Finish(JinjaExprPtr expr) const;

  std::vector<JinjaToken> tokens_;
  size_t position_ = 0;
};

}  // namespace sdar
