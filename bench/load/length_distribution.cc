// SPDX-License-Identifier: Apache-2.0
#include "bench/load/length_distribution.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sdar {
namespace {

constexpr int64_t kMaxLength = 1 << 20;

// The numbers after the name; empty when one of them is no number.
std::vector<int64_t> NumbersOf(const std::vector<std::string>& parts) {
  std::vector<int64_t> numbers;
  for (size_t i = 1; i < parts.size(); ++i) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(parts[i], &number) || number < 1 || number > kMaxLength) return {};
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

absl::StatusOr<LengthDistribution> LengthDistribution::Parse(absl::string_view flag,
                                                             const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const std::vector<int64_t> numbers = NumbersOf(parts);
  LengthDistribution out;
  if (parts[0] == "fixed" && numbers.size() == 1) {
    out.min_ = out.max_ = numbers[0];
    return out;
  }
  if (parts[0] == "uniform" && numbers.size() == 2 && numbers[0] <= numbers[1]) {
    out.min_ = numbers[0];
    out.max_ = numbers[1];
    return out;
  }
  if (parts[0] == "exponential" && numbers.size() == 2 && numbers[0] <= numbers[1]) {
    out.kind_ = Kind::kExponential;
    out.mean_ = static_cast<double>(numbers[0]);
    out.max_ = numbers[1];
    return out;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, ": expected fixed:N, uniform:A:B with A <= B or exponential:MEAN:MAX",
      " with MEAN <= MAX, numbers from 1 to ", kMaxLength, ", got '", text, "'"));
}

int64_t LengthDistribution::Draw(std::mt19937_64& random) const {
  const double unit = DrawUnit(random);
  if (kind_ == Kind::kExponential) {
    const double length = std::round(-mean_ * std::log1p(-unit));
    return static_cast<int64_t>(std::clamp(length, 1.0, static_cast<double>(max_)));
  }
  return min_ + static_cast<int64_t>(unit * static_cast<double>(max_ - min_ + 1));
}

double DrawUnit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

}  // namespace sdar
