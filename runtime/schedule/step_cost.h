// SPDX-License-Identifier: Apache-2.0
// What a step costs by its number of rows, as measured while serving.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace sdar {

// Milliseconds of a step against its rows: running means in ranges of rows, joined by lines, never
// falling with more rows. Beyond the most rows that were measured it answers with what those took:
// so more rows are tried once, and then known; below the fewest with their share, so that fewer are
// tried too. What has not been measured for long is forgotten
// and may be tried again. One thread.
class StepCost {
 public:
  // rows: at least 1.
  void Add(int64_t rows, absl::Duration time);
  // 1 where nothing is known: all steps cost the same then.
  double Milliseconds(int64_t rows) const;

 private:
  static constexpr size_t kRanges = 64;
  struct Mean {
    double rows = 0;
    double milliseconds = 0;
    int64_t last_step = 0;
    bool known = false;
  };

  static size_t RangeOf(int64_t rows);

  std::array<Mean, kRanges> ranges_;
  int64_t steps_ = 0;
};

}  // namespace sdar
