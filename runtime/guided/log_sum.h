// SPDX-License-Identifier: Apache-2.0
// Sums of numbers that are known by their logarithms.
#pragma once

#include <cmath>
#include <limits>

namespace sdar {

inline constexpr double kLogZero = -std::numeric_limits<double>::infinity();

// ln(e^a + e^b).
inline double LogAdd(double a, double b) {
  if (a < b) return b == kLogZero ? b : LogAdd(b, a);
  return b == kLogZero ? a : a + std::log1p(std::exp(b - a));
}

}  // namespace sdar
