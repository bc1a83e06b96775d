// SPDX-License-Identifier: Apache-2.0
// Regular languages, known by ids, and what was joined of them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/grammar/automaton/scan_dfa.h"
#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

using LanguageId = int32_t;
inline constexpr LanguageId kNoLanguage = 0;  // the empty one
inline constexpr LanguageId kAnyText = 1;

// Not thread-safe. References stay valid.
class LanguagePool {
 public:
  explicit LanguagePool(const RegularLimits& limits);

  LanguageId Add(Dfa dfa);
  // Any text of such a length. Kept as two numbers as long as it is not joined with anything else.
  LanguageId AddLengths(Lengths lengths);
  ScanDfa Scan(LanguageId id, Writing writing) const;
  absl::StatusOr<LanguageId> Intersect(LanguageId a, LanguageId b);
  absl::StatusOr<LanguageId> Union(LanguageId a, LanguageId b);
  absl::StatusOr<LanguageId> Subtract(LanguageId a, LanguageId b);
  bool Has(LanguageId id, absl::string_view text) const;
  const RegularLimits& limits() const { return limits_; }

 private:
  enum class Operation : uint8_t { kIntersect, kUnion, kSubtract };
  struct Entry {
    std::optional<Dfa> dfa;
    std::optional<Lengths> lengths;
  };
  const Entry& At(LanguageId id) const { return entries_[static_cast<size_t>(id)]; }
  absl::StatusOr<const Dfa*> Get(LanguageId id);
  absl::StatusOr<LanguageId> Join(Operation operation, LanguageId a, LanguageId b);

  RegularLimits limits_;
  int64_t num_states_ = 0;
  std::deque<Entry> entries_;
  absl::flat_hash_map<std::string, LanguageId> ids_;
  absl::flat_hash_map<std::tuple<Operation, LanguageId, LanguageId>, LanguageId> joined_;
};

}  // namespace sdar::grammar
