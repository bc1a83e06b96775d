// SPDX-License-Identifier: Apache-2.0
// Tests of ranges of numbers, by exact comparison of many texts.
#include "runtime/grammar/regular/numbers.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/grammar/regular/decimal.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

using ::testing::HasSubstr;

// The value times 10^30: exact for the texts of these tests.
__int128 Scaled(const std::string& text) {
  const auto decimal = ParseDecimal(text);
  EXPECT_TRUE(decimal.ok()) << text << decimal.status();
  __int128 value = 0;
  for (const char digit : decimal->digits) value = value * 10 + (digit - '0');
  for (int64_t i = -30; i < decimal->exponent; ++i) value *= 10;
  return decimal->negative ? -value : value;
}

std::vector<std::string> NumberTexts() {
  std::vector<std::string> texts;
  for (const char* sign : {"", "-"}) {
    for (const char* integer : {"0", "1", "2", "7", "9", "10", "11", "99", "100", "305"}) {
      for (const char* fraction : {"", ".0", ".5", ".50", ".05", ".25", ".999", ".001"}) {
        texts.push_back(absl::StrCat(sign, integer, fraction));
      }
    }
    for (const char* mantissa : {"1", "9", "1.5", "9.990", "3.05"}) {
      for (const char* exponent : {"e0", "E+1", "e-1", "e-07", "e2", "e+02"}) {
        texts.push_back(absl::StrCat(sign, mantissa, exponent));
      }
    }
  }
  return texts;
}

bool IsIn(const NumberRange& range, const std::string& text) {
  const __int128 value = Scaled(text);
  bool in = true;
  if (range.lower.has_value()) {
    const __int128 lower = Scaled(*range.lower);
    in &= range.lower_exclusive ? value > lower : value >= lower;
  }
  if (range.upper.has_value()) {
    const __int128 upper = Scaled(*range.upper);
    in &= range.upper_exclusive ? value < upper : value <= upper;
  }
  if (range.integer) in &= value % Scaled("1") == 0;
  if (range.multiple_of.has_value()) in &= value % Scaled(*range.multiple_of) == 0;
  return in;
}

void ExpectExact(const NumberRange& range) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, NumberDfa(range));
  for (const std::string& text : NumberTexts()) {
    const bool exponent = text.find_first_of("eE") != std::string::npos;
    const bool wanted = IsIn(range, text);
    const bool found = Contains(dfa, text);
    EXPECT_TRUE(wanted || !found) << range.lower.value_or("") << ".." << range.upper.value_or("")
                                  << " takes " << text;
    const bool must = !exponent || !(range.integer || range.multiple_of.has_value());
    EXPECT_TRUE(found || !wanted || !must)
        << range.lower.value_or("") << ".." << range.upper.value_or("") << " lacks " << text;
  }
}

TEST(Numbers, AreComparedExactly) {
  const std::vector<std::optional<std::string>> bounds = {
      std::nullopt, "0", "-0", "1", "-1", "10", "0.5", "-0.05", "99.999", "1e2", "-305", "15e-1"};
  for (const auto& lower : bounds) {
    for (const auto& upper : bounds) {
      for (const int flags : {0, 1, 2, 3, 4, 7}) {
        NumberRange range;
        range.lower = lower;
        range.upper = upper;
        range.lower_exclusive = (flags & 1) != 0;
        range.upper_exclusive = (flags & 2) != 0;
        range.integer = (flags & 4) != 0;
        ExpectExact(range);
      }
    }
  }
}

TEST(Numbers, AreMultiples) {
  for (const char* divisor : {"1", "2", "7", "0.5", "0.01", "2.5", "1e1", "100", "0.25"}) {
    for (const bool integer : {false, true}) {
      NumberRange range;
      range.multiple_of = divisor;
      range.integer = integer;
      ExpectExact(range);
      range.lower = "-9";
      range.upper = "100";
      ExpectExact(range);
    }
  }
}

TEST(Numbers, WithoutBoundsAreThoseOfJson) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, NumberDfa({}));
  for (const char* text : {"0", "-0", "-1.50", "1e400", "0e5", "12E-7"}) {
    EXPECT_TRUE(Contains(dfa, text)) << text;
  }
  for (const char* text : {"", "-", "01", "1.", ".5", "+1", "1e", "NaN", "1e+"}) {
    EXPECT_FALSE(Contains(dfa, text)) << text;
  }
}

TEST(Numbers, IntegersAsPythonWritesThem) {
  NumberRange range;
  range.integer = true;
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa dfa, NumberDfa(range));
  for (const char* text : {"5", "5.0", "-12", "1e+16", "1.5e+16", "0"}) {
    EXPECT_TRUE(Contains(dfa, text)) << text;
  }
  for (const char* text : {"5.5", "1e-1", "1.55e1", "1.23456789012345678e+16"}) {
    EXPECT_FALSE(Contains(dfa, text)) << text;
  }
  range.allow_integral_fraction = false;
  SDAR_ASSERT_OK_AND_ASSIGN(const Dfa plain, NumberDfa(range));
  EXPECT_TRUE(Contains(plain, "-12"));
  EXPECT_FALSE(Contains(plain, "5.0"));
  EXPECT_FALSE(Contains(plain, "1e+16"));
}

TEST(Numbers, NoNumberMayBeInTheRange) {
  NumberRange range;
  range.lower = "1.2";
  range.upper = "1.8";
  range.integer = true;
  EXPECT_TRUE(IsEmpty(*NumberDfa(range)));
  EXPECT_TRUE(IsEmpty(*NumberDfa({.lower = "2", .upper = "1"})));
}

TEST(Numbers, WrongOrHugeBoundsAreRefused) {
  EXPECT_THAT(NumberDfa({.lower = "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a number")));
  EXPECT_THAT(NumberDfa({.multiple_of = "0"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than zero")));
  EXPECT_THAT(NumberDfa({.upper = "1e99999"}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("digits")));
  EXPECT_THAT(NumberDfa({.multiple_of = "123456789"}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("multipleOf")));
}

}  // namespace
}  // namespace sdar::grammar
