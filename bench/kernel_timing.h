// SPDX-License-Identifier: Apache-2.0
// Times calls that a device works off later.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

#include "kernels/backend.h"

namespace sdar {

struct CallTimes {
  double median_s = 0;  // of one call
  double min_s = 0;
  int64_t calls_at_once = 0;  // between two waits
};

double MedianOf(std::vector<double> values);

// Enqueues as many calls as take about batch_seconds between two waits for the device, so that
// neither the wait nor the first launch counts, `repeats` times after some that are not counted.
// run: enqueues call number 0, 1, ...
absl::StatusOr<CallTimes> TimeCalls(Backend& backend, absl::FunctionRef<void(int64_t call)> run,
                                    int repeats, double batch_seconds);

}  // namespace sdar
