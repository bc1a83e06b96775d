// SPDX-License-Identifier: Apache-2.0
// How long the prompts and outputs of made-up requests are.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// A distribution over token counts of at least 1.
class LengthDistribution {
 public:
  // "fixed:N"; "uniform:A:B", both ends included; "exponential:MEAN:MAX", where what is drawn above
  // MAX becomes MAX. All numbers from 1 to 2^20. InvalidArgument names `flag` and what is expected.
  static absl::StatusOr<LengthDistribution> Parse(absl::string_view flag, const std::string& text);

  int64_t Draw(std::mt19937_64& random) const;
  // The largest that Draw can give.
  int64_t max() const { return max_; }

 private:
  enum class Kind { kUniform, kExponential };  // fixed is uniform from N to N

  Kind kind_ = Kind::kUniform;
  int64_t min_ = 1;
  int64_t max_ = 1;
  double mean_ = 1;  // of kExponential, before the cut at max_
};

// Uniform in [0, 1). The same on every standard library, where std's distributions differ.
double DrawUnit(std::mt19937_64& random);

}  // namespace sdar
