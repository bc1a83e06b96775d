// SPDX-License-Identifier: Apache-2.0
#include "bench/kernel_timing.h"

#include <algorithm>
#include <chrono>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr double kMostCallsAtOnce = 2000;

}  // namespace

double MedianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<CallTimes> TimeCalls(Backend& backend, absl::FunctionRef<void(int64_t call)> run,
                                    int repeats, double batch_seconds) {
  int64_t next = 0;
  const auto seconds_of = [&](int64_t calls) -> absl::StatusOr<double> {
    SDAR_RETURN_IF_ERROR(backend.Synchronize());
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; ++i) run(next++);
    SDAR_RETURN_IF_ERROR(backend.Synchronize());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return std::max(taken.count(), 1e-9) / static_cast<double>(calls);
  };
  // The first call chooses algorithms and allocates; the next ones tell how many make a batch.
  SDAR_RETURN_IF_ERROR(seconds_of(1).status());
  SDAR_ASSIGN_OR_RETURN(const double once, seconds_of(3));
  CallTimes times;
  times.calls_at_once =
      static_cast<int64_t>(std::clamp(batch_seconds / once, 1.0, kMostCallsAtOnce));
  SDAR_RETURN_IF_ERROR(seconds_of(times.calls_at_once).status());
  std::vector<double> all;
  for (int i = 0; i < repeats; ++i) {
    SDAR_ASSIGN_OR_RETURN(const double seconds, seconds_of(times.calls_at_once));
    all.push_back(seconds);
  }
  times.min_s = *std::min_element(all.begin(), all.end());
  times.median_s = MedianOf(std::move(all));
  return times;
}

}  // namespace sdar
