// SPDX-License-Identifier: Apache-2.0
// Decimal numbers as they are written, without rounding.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar::grammar {

// A value: (-1)^negative * digits * 10^exponent.
struct Decimal {
  bool negative = false;
  std::string digits;  // neither begins nor ends with 0; empty: the number is zero
  int64_t exponent = 0;

  bool IsZero() const { return digits.empty(); }
  // The digits before and after the point of its absolute value, as JSON writes them: "0" and "25"
  // of -0.25. Behind the point no 0 is the last.
  std::string IntegerDigits() const;
  std::string FractionDigits() const;
  // The power of ten of its first digit. Requires: not zero.
  int64_t Magnitude() const { return exponent + static_cast<int64_t>(digits.size()) - 1; }
};

// Reads a number of JSON. InvalidArgument: it is none; ResourceExhausted: its digits, written
// without an exponent, are more than 1,000.
absl::StatusOr<Decimal> ParseDecimal(absl::string_view text);

}  // namespace sdar::grammar
