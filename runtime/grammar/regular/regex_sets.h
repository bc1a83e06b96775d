// SPDX-License-Identifier: Apache-2.0
// The parts of a pattern that stand for one character: escapes and classes.
#pragma once

#include <optional>

#include "absl/status/statusor.h"

#include "runtime/grammar/regular/regex_scanner.h"
#include "runtime/grammar/regular/unicode_sets.h"

namespace sdar::grammar {

// What an escape or a member of a class stands for.
struct RegexCharacter {
  // One character; absent for a set such as \w. A surrogate stands for nothing.
  std::optional<char32_t> code_point;
  NamedSet set;
};

// Reads what follows a backslash: `scanner` is behind it. `in_class`: between [ and ].
absl::StatusOr<RegexCharacter> ReadEscape(RegexScanner& scanner, bool in_class);

// Reads a class: `scanner` is behind its [.
absl::StatusOr<NamedSet> ReadClass(RegexScanner& scanner, bool ignore_case);

// The set without those of the other: by each reading.
NamedSet Negated(const NamedSet& set);

}  // namespace sdar::grammar
