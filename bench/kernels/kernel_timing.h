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

struct TimingPlan {
  int repeats = 0;           // timed, after some that are not
  double batch_seconds = 0;  // of calls between two waits, about
  // Calls are captured under it (Backend::Repeat), as a pass's are, so that launches from the host
  // are not what is timed; below 0: they are not.
  int64_t key = -1;
};

// Enqueues many calls between two waits for the device, so that neither the wait nor the first
// launch counts. run: enqueues call number 0, 1, ...
absl::StatusOr<CallTimes> TimeCalls(Backend& backend, const TimingPlan& plan,
                                    absl::FunctionRef<void(int64_t call)> run);

}  // namespace sdar
