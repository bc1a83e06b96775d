// SPDX-License-Identifier: Apache-2.0
// Builds the tree of a JSON text. Only json.cc includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

#include "common/json.h"

namespace sdar {

// Finds the members of one object by key. ordered_json's own search walks over all members, so that
// building a wide object with it would take quadratic time.
class JsonKeyIndex {
 public:
  // Borrows the members of the object, which outlive this.
  explicit JsonKeyIndex(const Json::object_t& members) : members_(&members) {}

  // The position of `key`, if a member has it.
  std::optional<size_t> Find(absl::string_view key) const;
  // Notes the member that was appended last.
  void NoteLast();

 private:
  // Positions stand for the keys at them, which are not copied.
  struct Hash {
    // NOLINTNEXTLINE(readability-identifier-naming): the name that hash tables ask for
    using is_transparent = void;
    const Json::object_t* members;
    size_t operator()(absl::string_view key) const { return absl::Hash<absl::string_view>()(key); }
    size_t operator()(uint32_t position) const { return (*this)(members->data()[position].first); }
  };
  struct Equal {
    // NOLINTNEXTLINE(readability-identifier-naming): the name that hash tables ask for
    using is_transparent = void;
    const Json::object_t* members;
    absl::string_view KeyOf(uint32_t position) const { return members->data()[position].first; }
    absl::string_view KeyOf(absl::string_view key) const { return key; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return KeyOf(a) == KeyOf(b);
    }
  };
  using Positions = absl::flat_hash_set<uint32_t, Hash, Equal>;

  const Json::object_t* members_;
  std::optional<Positions> positions_;  // absent while the object is small
};

// Takes the parser's events. Refuses deep nesting before the recursion of a tree could hurt, and
// large trees before they are built.
class JsonBuilder : public nlohmann::json_sax<Json> {
 public:
  // Borrows `text`.
  JsonBuilder(absl::string_view text, int max_depth, bool unique_keys, size_t max_values)
      : text_(text), max_depth_(max_depth), unique_keys_(unique_keys), max_values_(max_values) {}

  bool null() override { return Place(Json(nullptr)) != nullptr; }
  bool boolean(bool value) override { return Place(Json(value)) != nullptr; }
  bool number_integer(number_integer_t value) override { return Place(Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Place(Json(value)) != nullptr; }
  bool number_float(number_float_t value, const string_t& text) override;
  bool string(string_t& value) override { return Place(Json(std::move(value))) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override;
  bool start_array(size_t) override;
  bool end_object() override;
  bool end_array() override;
  bool key(string_t& name) override;
  bool parse_error(size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& e) override;

  // What is wrong with the text. Requires: an event was refused.
  const std::string& error() const { return error_; }
  // The tree. Requires: no event was refused.
  Json Take() { return std::move(root_); }

 private:
  // An array or object that is not closed yet.
  struct Level {
    Json* container;                    // a child only grows while its parents wait: stays valid
    std::optional<JsonKeyIndex> index;  // of an object
    size_t position = 0;                // of the member whose value comes next
  };

  // Puts a value where it belongs; null when the text has too many.
  Json* Place(Json value);
  bool MayNest();

  absl::string_view text_;
  int max_depth_;
  bool unique_keys_;
  size_t max_values_;
  size_t num_values_ = 0;
  Json root_;
  std::vector<Level> open_;
  std::string error_;
};

}  // namespace sdar
