// SPDX-License-Identifier: Apache-2.0
// Automata that compare and divide numbers that are read digit by digit.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

#include "runtime/grammar/regular/decimal.h"
#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// Which outcomes of a comparison are wanted.
struct Outcomes {
  bool less = false;
  bool equal = false;
  bool greater = false;
};

// The texts (0|[1-9][0-9]*)(\.[0-9]+)? whose comparison with the absolute value of `bound` comes
// out as wanted.
Dfa Comparing(const Decimal& bound, const Outcomes& wanted);

// Such texts that are multiples of the absolute value of `divisor`, which is not zero.
// ResourceExhausted: too many remainders.
absl::StatusOr<Dfa> Dividing(const Decimal& divisor, const RegularLimits& limits);

}  // namespace sdar::grammar
