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

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"

namespace sdar {

struct JinjaSequence;
struct JinjaDict;
struct JinjaNamespace;
struct JinjaLoop;
struct JinjaCallable;

// Work a rendering may do, in bytes produced and elements visited, so that no template can hang the
// process or exhaust its memory.
class JinjaBudget {
 public:
  explicit JinjaBudget(size_t units) : left_(units) {}

  // ResourceExhausted once the budget is spent.
  absl::Status Charge(size_t units);
  // The cost of looking for `needle` all over `text`, which may compare every pair of bytes.
  absl::Status ChargeSearch(absl::string_view text, absl::string_view needle) {
    return Charge(text.size() * (1 + needle.size() / 16));
  }

 private:
  size_t left_;
};

class JinjaValue {
 public:
  struct Undefined {
    std::shared_ptr<const std::string> why;  // "'x' is undefined"
  };
  using Text = std::shared_ptr<const std::string>;

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
  // The undefined value; `why` is the error of using it.
  static JinjaValue MakeUndefined(std::string why);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_string() const { return std::holds_alternative<Text>(data_); }

  // The error of using an undefined value. Requires: is_undefined().
  absl::Status UndefinedError() const;
  // Requires: is_string().
  const std::string& text() const { return *std::get<Text>(data_); }
  // Requires: is_bool() or is_int(); a bool counts as 0 or 1.
  int64_t integer() const;
  // Requires: is_number().
  double number() const;
  // The value of its kind, or nullptr.
  const JinjaSequence* sequence() const;
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
  std::variant<std::nullptr_t, Undefined, bool, int64_t, double, Text,
               std::shared_ptr<const JinjaSequence>, std::shared_ptr<const JinjaDict>,
               std::shared_ptr<const JinjaLoop>, std::shared_ptr<const JinjaCallable>,
               JinjaNamespace*>
      data_;
};

using JinjaValues = std::vector<JinjaValue>;

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
  int depth = 1;
  std::vector<std::pair<JinjaValue, JinjaValue>> items;
  absl::flat_hash_map<std::string, size_t> index;  // by KeyOf

  // The value of `key`, or nullptr.
  const JinjaValue* Find(const JinjaValue& key) const;
  const JinjaValue* Find(absl::string_view key) const;
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

// An error of the template, InvalidArgument.
absl::Status JinjaError(absl::string_view message);

// Makes containers; ResourceExhausted beyond the budget, InvalidArgument when nested too deep or,
// for dicts, when a key cannot be one.
absl::StatusOr<JinjaValue> MakeSequence(JinjaSequence::Kind kind, JinjaValues items,
                                        JinjaBudget& budget);
absl::StatusOr<JinjaValue> MakeDict(std::vector<std::pair<JinjaValue, JinjaValue>> items,
                                    JinjaBudget& budget);
absl::StatusOr<JinjaValue> MakeText(std::string text, JinjaBudget& budget);

// A JSON value as Python would have loaded it.
absl::StatusOr<JinjaValue> FromJson(const Json& json, JinjaBudget& budget);

// What walking `value` yields: items, characters, keys, nothing when undefined. An error names a
// type that cannot be walked.
absl::StatusOr<std::shared_ptr<const JinjaSequence>> Iterate(const JinjaValue& value,
                                                             JinjaBudget& budget);

// Python's == and <; ordering unlike types is an error.
absl::StatusOr<bool> AreEqual(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
absl::StatusOr<bool> IsLess(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
// Python's `item in container`.
absl::StatusOr<bool> Contains(const JinjaValue& container, const JinjaValue& item,
                              JinjaBudget& budget);

}  // namespace sdar
