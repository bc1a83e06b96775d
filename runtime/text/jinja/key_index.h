// SPDX-License-Identifier: Apache-2.0
// Finds template values by key, as Python's hash tables do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

#include "runtime/text/jinja/value.h"

namespace sdar {

// What makes two keys one: kind and value. True, 1 and 1.0 are one key, as in Python. Borrows text.
struct JinjaKey {
  enum class Kind : uint8_t { kText, kInteger, kFloat, kNone, kUndefined };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double number = 0;
  absl::string_view text;

  // Absent for sequences, dicts and the like, and for NaN, which equals nothing.
  static std::optional<JinjaKey> Of(const JinjaValue& value);
  static JinjaKey OfText(absl::string_view text);

  friend bool operator==(const JinjaKey& a, const JinjaKey& b) {
    return a.kind == b.kind && a.integer == b.integer && a.number == b.number && a.text == b.text;
  }
  template <typename H>
  friend H AbslHashValue(H state, const JinjaKey& key) {
    return H::combine(std::move(state), key.kind, key.integer, key.number, key.text);
  }
};

// Positions of members by key. One thread while it changes.
class JinjaKeyIndex {
 public:
  // Borrows the members, which outlive this. Nothing is noted yet.
  explicit JinjaKeyIndex(const std::vector<JinjaMember>& members) : members_(&members) {}

  // Bytes that an index of `num_members` takes at most.
  static size_t BytesFor(size_t num_members) { return 64 + 12 * num_members; }
  // Units of work that one search takes at most.
  static size_t WorkFor(const JinjaKey& key) { return 32 + key.text.size(); }

  // Makes room for `num_members`.
  void Reserve(size_t num_members);
  // The position of the member with this key, among those noted.
  std::optional<size_t> Find(const JinjaKey& key) const;
  // Notes the member after the last that was noted. Requires: JinjaKey::Of its key is there.
  void NoteNext();

 private:
  // Positions stand for the keys at them, which are not copied.
  struct Hash {
    // NOLINTNEXTLINE(readability-identifier-naming): the name that hash tables ask for
    using is_transparent = void;
    const std::vector<JinjaMember>* members;
    size_t operator()(const JinjaKey& key) const { return absl::Hash<JinjaKey>()(key); }
    size_t operator()(uint32_t position) const {
      return (*this)(*JinjaKey::Of((*members)[position].first));
    }
  };
  struct Equal {
    // NOLINTNEXTLINE(readability-identifier-naming): the name that hash tables ask for
    using is_transparent = void;
    const std::vector<JinjaMember>* members;
    const JinjaKey& KeyOf(const JinjaKey& key) const { return key; }
    JinjaKey KeyOf(uint32_t position) const { return *JinjaKey::Of((*members)[position].first); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return KeyOf(a) == KeyOf(b);
    }
  };
  using Positions = absl::flat_hash_set<uint32_t, Hash, Equal>;

  const std::vector<JinjaMember>* members_;
  size_t num_noted_ = 0;
  std::optional<Positions> positions_;  // absent while there are few members
};

}  // namespace sdar
