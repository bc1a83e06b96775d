// SPDX-License-Identifier: Apache-2.0
// Sequences of numbers, each kept once and known by a small id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"

namespace sdar::grammar {

// Equal sequences have one id, for the table's whole life. Not thread-safe.
class SequenceTable {
 public:
  // The empty sequence has id 0.
  SequenceTable();
  SequenceTable(SequenceTable&&) = default;
  SequenceTable& operator=(SequenceTable&&) = default;

  uint32_t Intern(absl::Span<const uint32_t> words);
  // Stays valid as long as the table.
  absl::Span<const uint32_t> Get(uint32_t id) const { return (*entries_)[id]; }
  size_t size() const { return entries_->size(); }
  size_t MemoryBytes() const;

 private:
  using Entries = std::vector<absl::Span<const uint32_t>>;
  struct HashOf {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the containers' name
    const Entries* entries;
    size_t operator()(absl::Span<const uint32_t> words) const {
      return absl::Hash<absl::Span<const uint32_t>>()(words);
    }
    size_t operator()(uint32_t id) const { return (*this)((*entries)[id]); }
  };
  struct Same {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the containers' name
    const Entries* entries;
    absl::Span<const uint32_t> Words(uint32_t id) const { return (*entries)[id]; }
    absl::Span<const uint32_t> Words(absl::Span<const uint32_t> words) const { return words; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Words(a) == Words(b);
    }
  };

  uint32_t* Allocate(size_t count);

  std::unique_ptr<Entries> entries_;  // its address is the hash set's
  absl::flat_hash_set<uint32_t, HashOf, Same> ids_;
  std::vector<std::unique_ptr<uint32_t[]>> chunks_;
  uint32_t* free_ = nullptr;
  size_t num_free_ = 0;
  size_t num_words_ = 0;
};

}  // namespace sdar::grammar
