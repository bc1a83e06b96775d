// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/decimal.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/printable.h"

namespace sdar::grammar {
namespace {

constexpr int64_t kMaxDecimalDigits = 1'000;

absl::string_view TakeDigits(absl::string_view& text) {
  size_t count = 0;
  while (count < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) {
    ++count;
  }
  const absl::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

absl::Status NoNumber(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("not a number: ", Printable(text.substr(0, 100))));
}

}  // namespace

std::string Decimal::IntegerDigits() const {
  const int64_t count = static_cast<int64_t>(digits.size()) + exponent;
  if (IsZero() || count <= 0) return "0";
  if (exponent >= 0) return digits + std::string(static_cast<size_t>(exponent), '0');
  return digits.substr(0, static_cast<size_t>(count));
}

std::string Decimal::FractionDigits() const {
  if (IsZero() || exponent >= 0) return "";
  const int64_t count = static_cast<int64_t>(digits.size()) + exponent;
  if (count >= 0) return digits.substr(static_cast<size_t>(count));
  return std::string(static_cast<size_t>(-count), '0') + digits;
}

absl::StatusOr<Decimal> ParseDecimal(absl::string_view text) {
  absl::string_view rest = text;
  Decimal number;
  number.negative = absl::ConsumePrefix(&rest, "-");
  const absl::string_view integer = TakeDigits(rest);
  if (integer.empty()) return NoNumber(text);
  absl::string_view fraction;
  if (absl::ConsumePrefix(&rest, ".")) {
    fraction = TakeDigits(rest);
    if (fraction.empty()) return NoNumber(text);
  }
  int64_t exponent = 0;
  if (absl::ConsumePrefix(&rest, "e") || absl::ConsumePrefix(&rest, "E")) {
    const bool down = absl::ConsumePrefix(&rest, "-");
    if (!down) absl::ConsumePrefix(&rest, "+");
    const absl::string_view digits = TakeDigits(rest);
    if (digits.empty()) return NoNumber(text);
    if (!absl::SimpleAtoi(digits, &exponent) || exponent > 1'000'000) exponent = 1'000'000;
    if (down) exponent = -exponent;
  }
  if (!rest.empty()) return NoNumber(text);
  number.digits = absl::StrCat(integer, fraction);
  number.exponent = exponent - static_cast<int64_t>(fraction.size());
  number.digits.erase(0, std::min(number.digits.find_first_not_of('0'), number.digits.size()));
  while (!number.digits.empty() && number.digits.back() == '0') {
    number.digits.pop_back();
    ++number.exponent;
  }
  if (number.IsZero()) return Decimal();
  const auto size = static_cast<int64_t>(number.digits.size());
  if (size + std::max<int64_t>(number.exponent, 0) > kMaxDecimalDigits ||
      -number.exponent > kMaxDecimalDigits) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a number needs more than ", kMaxDecimalDigits, " digits"));
  }
  return number;
}

}  // namespace sdar::grammar
