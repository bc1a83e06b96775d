// SPDX-License-Identifier: Apache-2.0
// The syntax tree of a chat template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace sdar {

struct JinjaExpr;
struct JinjaStatement;
using JinjaExprPtr = std::unique_ptr<JinjaExpr>;
using JinjaBody = std::vector<std::unique_ptr<JinjaStatement>>;

struct JinjaExpr {
  enum class Kind {
    kConstant,   // constant
    kName,       // name
    kCaptured,   // the text that a set block or filter block captured
    kList,       // operands
    kTuple,      // operands
    kDict,       // operands: key, value, key, value, ...
    kUnary,      // name: "-", "+", "not"
    kBinary,     // name: "+", "-", "*", "/", "//", "%", "**"
    kAnd,        // two operands, as kOr
    kOr,         //
    kConcat,     // operands joined as text
    kCompare,    // operands; operators[i] stands before operands[i + 1]
    kCondition,  // operands: test, then, else (which may be null)
    kAttribute,  // operand . name
    kSubscript,  // operands: object, key
    kSlice,      // operands: object, start, stop, step (each but the first may be null)
    kCall,       // operands: callee, positional arguments; named
    kFilter,     // name; operands: value, positional arguments; named
    kTest        // name; operands: value, positional arguments; named; negated
  };
  Kind kind = Kind::kConstant;
  int line = 1;
  int depth = 1;  // levels of this tree
  std::string name;
  JinjaValue constant;
  bool negated = false;
  std::vector<JinjaExprPtr> operands;
  std::vector<std::string> operators;
  std::vector<std::pair<std::string, JinjaExprPtr>> named;
};
using JinjaExprKind = JinjaExpr::Kind;

// What an assignment writes: a name, an attribute of a namespace, or a tuple of targets.
struct JinjaTarget {
  std::string name;
  std::string attribute;           // not empty: `name` is a namespace
  std::vector<JinjaTarget> parts;  // not empty: a tuple
};

struct JinjaMacro {
  std::string name;
  std::vector<std::pair<std::string, JinjaExprPtr>> parameters;  // name, default or null
  JinjaBody body;
};

struct JinjaStatement {
  enum class Kind {
    kData,      // text
    kOutput,    // expr
    kIf,        // branches: condition (null for else) and body
    kFor,       // target in expr if condition: body, else orelse
    kSet,       // target = expr
    kSetBlock,  // target = body, through expr, a chain of filters on kCaptured, where there is one
    kFilter,    // output of body through expr, a chain of filters on kCaptured
    kWith,      // assignments, body
    kScope,     // body in a scope of its own
    kMacro,     // macro
    kBreak,
    kContinue
  };
  Kind kind = Kind::kData;
  int line = 1;
  std::string text;
  JinjaTarget target;
  JinjaExprPtr expr;
  JinjaExprPtr condition;
  std::vector<std::pair<JinjaExprPtr, JinjaBody>> branches;
  std::vector<std::pair<JinjaTarget, JinjaExprPtr>> assignments;
  JinjaBody body;
  JinjaBody orelse;
  std::unique_ptr<JinjaMacro> macro;
};

}  // namespace sdar
