// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_timing.h"

#include <algorithm>
#include <chrono>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr double kMostCallsAtOnce = 2000;
constexpr int kUncountedBatches = 2;  // one that is made as it is and one that is captured

}  // namespace

double MedianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<CallTimes> TimeCalls(Backend& backend, const TimingPlan& plan,
                                    absl::FunctionRef<void(int64_t call)> run) {
  const auto enqueue = [&](int64_t calls) -> absl::Status {
    for (int64_t i = 0; i < calls; ++i) run(i);
    return absl::OkStatus();
  };
  const auto seconds_of = [&](int64_t calls, bool captured) -> absl::StatusOr<double> {
    SDAR_RETURN_IF_ERROR(backend.Synchronize());
    const auto start = std::chrono::steady_clock::now();
    SDAR_RETURN_IF_ERROR(captured ? backend.Repeat({plan.key}, [&] { return enqueue(calls); })
                                  : enqueue(calls));
    SDAR_RETURN_IF_ERROR(backend.Synchronize());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return std::max(taken.count(), 1e-9) / static_cast<double>(calls);
  };
  // The first call chooses algorithms and allocates; the next ones tell how many make a batch.
  SDAR_RETURN_IF_ERROR(seconds_of(1, false).status());
  SDAR_ASSIGN_OR_RETURN(const double once, seconds_of(3, false));
  CallTimes times;
  times.calls_at_once =
      static_cast<int64_t>(std::clamp(plan.batch_seconds / once, 1.0, kMostCallsAtOnce));
  for (int i = 0; i < kUncountedBatches; ++i) {
    SDAR_RETURN_IF_ERROR(seconds_of(times.calls_at_once, plan.key >= 0).status());
  }
  std::vector<double> all;
  for (int i = 0; i < plan.repeats; ++i) {
    SDAR_ASSIGN_OR_RETURN(const double seconds, seconds_of(times.calls_at_once, plan.key >= 0));
    all.push_back(seconds);
  }
  times.min_s = *std::min_element(all.begin(), all.end());
  times.median_s = MedianOf(std::move(all));
  return times;
}

}  // namespace sdar
