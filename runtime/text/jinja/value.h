// SPDX-License-Identifier: Apache-2.0
// The values of chat templates: Python's, as far as templates see them, immutable but for
// namespaces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/text/jinja/budget.h"

namespace sdar {

struct JinjaSequence;
struct JinjaDict;
struct JinjaNamespace;
struct JinjaLoop;
struct JinjaCallable;

class JinjaValue {
 public:
  struct Undefined {
    std::shared_ptr<const std::string> why;  // "'x' is undefined"
  };
  using Text = std::shared_ptr<const std::string>;
  // An integer beyond 64 bits. It can be passed on, printed, and compared with its like.
  struct BigInteger {
    Text digits;
  };

  JinjaValue() : data_(nullptr) {}  // None
  explicit JinjaValue(bool value) : data_(value) {}
  explicit JinjaValue(int64_t value) : data_(value) {}
  explicit JinjaValue(double value) : data_(value) {}
  explicit JinjaValue(std::string value)
      : data_(Text(std::make_shared<const std::string>(std::move(value)))) {}
  explicit JinjaValue(std::shared_ptr<const JinjaSequence> value) : data_(std::move(value)) {}
  explicit JinjaValue(std::shared_ptr<const JinjaDict> value) : data_(std::move(value)) {}
  explicit JinjaValue(std::shared_ptr<const JinjaLoop> value) : data_(std::move(value)) {}
  explicit JinjaValue(std::shared_ptr<const JinjaCallable> value) : data_(std::move(value)) {}
  // Borrowed from the rendering, which outlives its values.
  explicit JinjaValue(JinjaNamespace* value) : data_(value) {}
  static JinjaValue MakeBigInteger(std::string digits);
  // The undefined value; `why` is the error of using it.
  static JinjaValue MakeUndefined(std::string why);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }
  bool is_big_integer() const { return std::holds_alternative<BigInteger>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_string() const { return std::holds_alternative<Text>(data_); }

  // The error of using an undefined value. Requires: is_undefined().
  absl::Status UndefinedError() const;
  // Requires: is_string().
  const std::string& text() const { return *std::get<Text>(data_); }
  // Requires: is_big_integer().
  const std::string& digits() const { return *std::get<BigInteger>(data_).digits; }
  // Requires: is_bool() or is_int(); a bool counts as 0 or 1.
  int64_t integer() const;
  // Requires: is_number().
  double number() const;
  // The value of its kind, or nullptr.
  const JinjaSequence* sequence() const;
  std::shared_ptr<const JinjaSequence> shared_sequence() const;
  const JinjaDict* dict() const;
  const JinjaLoop* loop() const;
  const JinjaCallable* callable() const;
  JinjaNamespace* space() const;

  // Python's truth of the value.
  bool IsTrue() const;
  // Python's name of the type, for messages.
  absl::string_view TypeName() const;
  // Levels of sequences and dicts, 0 for other values.
  int depth() const;

 private:
  std::variant<std::nullptr_t, Undefined, bool, int64_t, BigInteger, double, Text,
               std::shared_ptr<const JinjaSequence>, std::shared_ptr<const JinjaDict>,
               std::shared_ptr<const JinjaLoop>, std::shared_ptr<const JinjaCallable>,
               JinjaNamespace*>
      data_;
};

using JinjaValues = std::vector<JinjaValue>;
// A key and its value.
using JinjaMember = std::pair<JinjaValue, JinjaValue>;

class JinjaKeyIndex;

struct JinjaSequence {
  enum class Kind {
    kList,
    kTuple,
    kRange,
    kView,      // dict.items() and the like: can be walked and counted
    kGenerator  // can be walked, once
  };
  Kind kind = Kind::kList;
  int depth = 1;
  JinjaValues items;
  mutable bool consumed = false;  // a generator that was walked
};

// Keeps insertion order. Keys are strings, integers, booleans or None.
struct JinjaDict {
  JinjaDict();
  ~JinjaDict();
  JinjaDict(const JinjaDict&) = delete;
  JinjaDict& operator=(const JinjaDict&) = delete;

  int depth = 1;
  std::vector<JinjaMember> items;
  std::unique_ptr<JinjaKeyIndex> index;  // of `items`

  // The value of `key`, or nullptr. ResourceExhausted beyond the budget.
  absl::StatusOr<const JinjaValue*> Find(const JinjaValue& key, JinjaBudget& budget) const;
  absl::StatusOr<const JinjaValue*> Find(absl::string_view key, JinjaBudget& budget) const;
};

struct JinjaNamespace {
  std::vector<std::pair<std::string, JinjaValue>> attributes;
};

// What `loop` is in a loop's body.
struct JinjaLoop {
  std::shared_ptr<const JinjaSequence> items;
  size_t index = 0;
};

struct JinjaMacro;

// Something a template can call: a function of the environment, a bound method or a macro.
struct JinjaCallable {
  enum class Kind { kFunction, kMethod, kMacro };
  Kind kind = Kind::kFunction;
  std::string name;
  JinjaValue self;                    // of a method
  const JinjaMacro* macro = nullptr;  // part of the template, which outlives its renderings
};

// An error of the template, InvalidArgument with the start of `message`.
absl::Status JinjaError(absl::string_view message);

// Collects the items of a sequence and pays for them as they come.
class JinjaItems {
 public:
  // Borrows `budget`.
  explicit JinjaItems(JinjaBudget& budget) : budget_(&budget) {}

  // Makes room for `count` items. ResourceExhausted beyond the budget.
  absl::Status Reserve(size_t count);
  absl::Status Add(JinjaValue item);

  JinjaBudget& budget() const { return *budget_; }
  size_t size() const { return items_.size(); }
  // The items; the collection is then empty.
  JinjaValues Take() { return std::exchange(items_, JinjaValues()); }

 private:
  JinjaBudget* budget_;
  JinjaValues items_;
};

// Makes containers; ResourceExhausted beyond the budget, InvalidArgument when nested too deep or,
// for dicts, when a key cannot be one.
absl::StatusOr<JinjaValue> MakeSequence(JinjaSequence::Kind kind, JinjaItems items);
// The tuple of two.
absl::StatusOr<JinjaValue> MakePair(const JinjaValue& first, const JinjaValue& second,
                                    JinjaBudget& budget);
// The memory of `items` is paid for. The later of two equal keys wins, at the place of the first.
absl::StatusOr<JinjaValue> MakeDict(std::vector<JinjaMember> items, JinjaBudget& budget);
// Makes text, and pays for the copy.
absl::StatusOr<JinjaValue> MakeText(absl::string_view text, JinjaBudget& budget);
// Makes text of what is paid for.
absl::StatusOr<JinjaValue> MakeText(JinjaTextBuilder text);
absl::StatusOr<JinjaValue> MakeBuiltText(std::string text, JinjaBudget& budget);
// The undefined value; the start of `why` is the error of using it.
absl::StatusOr<JinjaValue> MakeUndefined(absl::string_view why, JinjaBudget& budget);

// A JSON value as Python would have loaded it.
absl::StatusOr<JinjaValue> FromJson(const Json& json, JinjaBudget& budget);

}  // namespace sdar
