// SPDX-License-Identifier: Apache-2.0
// The texts of numbers within bounds.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// What a number has to be. Numbers are decimal texts as JSON has them, so that nothing is rounded.
struct NumberRange {
  std::optional<std::string> lower = std::nullopt;
  std::optional<std::string> upper = std::nullopt;
  bool lower_exclusive = false;
  bool upper_exclusive = false;
  bool integer = false;
  // With `integer`: 5.0 is an integer too, and so is 1.5e+16.
  bool allow_integral_fraction = true;
  // More than zero.
  std::optional<std::string> multiple_of = std::nullopt;
};

// The JSON texts of the numbers that are in `range`; "-0" is zero. Without bounds and multiple_of
// that is every number of JSON. Otherwise a text with an exponent has one digit that is not 0
// before its point, as Python and JavaScript write it, and an exponent of -300 .. 300; with
// multiple_of there is no exponent. Empty where no number is in the range.
//
// InvalidArgument: a bound is no number, or multiple_of not more than zero. ResourceExhausted:
// bounds of more than 1,000 digits, or more states than the limits. Thread-safe.
absl::StatusOr<Dfa> NumberDfa(const NumberRange& range, const RegularLimits& limits = {});

}  // namespace sdar::grammar
