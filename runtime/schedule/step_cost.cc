// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/step_cost.h"

#include <algorithm>
#include <cmath>

namespace sdar {
namespace {

constexpr int64_t kFineRows = 64;  // up to here ranges of kFineRange rows, then quarter octaves
constexpr int64_t kFineRange = 4;
constexpr double kWeight = 0.125;  // of a new measurement
constexpr double kOutlier = 2;  // a step that took longer than this many means counts as this many
constexpr int64_t kStepsRemembered = 2000;

}  // namespace

size_t StepCost::RangeOf(int64_t rows) {
  if (rows <= kFineRows) return static_cast<size_t>((rows + kFineRange - 1) / kFineRange);
  const double octaves = std::log2(static_cast<double>(rows) / static_cast<double>(kFineRows));
  const auto range =
      static_cast<size_t>(kFineRows / kFineRange) + static_cast<size_t>(std::ceil(4 * octaves));
  return std::min(range, kRanges - 1);
}

void StepCost::Add(int64_t rows, absl::Duration time) {
  ++steps_;
  const double milliseconds = absl::ToDoubleMilliseconds(time);
  Mean& mean = ranges_[RangeOf(rows)];
  if (!mean.known) {
    mean = {static_cast<double>(rows), milliseconds, steps_, true};
  } else {
    const double bounded = std::min(milliseconds, kOutlier * mean.milliseconds);
    mean.milliseconds += kWeight * (bounded - mean.milliseconds);
    mean.rows += kWeight * (static_cast<double>(rows) - mean.rows);
    mean.last_step = steps_;
  }
  for (Mean& other : ranges_) {
    if (other.known && steps_ - other.last_step > kStepsRemembered) other.known = false;
  }
}

double StepCost::Milliseconds(int64_t rows) const {
  const auto wanted = static_cast<double>(rows);
  const Mean* below = nullptr;
  double most_below = 0;  // of the means up to `wanted`, so that the cost never falls
  for (const Mean& mean : ranges_) {
    if (!mean.known) continue;
    if (mean.rows >= wanted) {
      if (below == nullptr) return mean.milliseconds * wanted / mean.rows;
      const double part = (wanted - below->rows) / (mean.rows - below->rows);
      const double above = std::max(mean.milliseconds, most_below);
      return most_below + part * (above - most_below);
    }
    below = &mean;
    most_below = std::max(most_below, mean.milliseconds);
  }
  return below == nullptr ? 1 : most_below;
}

}  // namespace sdar
