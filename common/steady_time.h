// SPDX-License-Identifier: Apache-2.0
// Moments of a clock that nobody sets: what ages, timeouts and deadlines are measured with. Log
// times and `created` fields are absl::Time.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"

namespace sdar {

// A moment of this machine's steady clock. It means nothing to another process: send what is left
// until then. A value; any thread.
class SteadyTime {
 public:
  // The clock's own zero. It says nothing.
  constexpr SteadyTime() = default;

  static SteadyTime Now() {
    return SteadyTime(absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()));
  }
  static constexpr SteadyTime InfiniteFuture() { return SteadyTime(absl::InfiniteDuration()); }
  static constexpr SteadyTime InfinitePast() { return SteadyTime(-absl::InfiniteDuration()); }
  // For atomics.
  static constexpr SteadyTime FromNanos(int64_t nanos) {
    return SteadyTime(absl::Nanoseconds(nanos));
  }
  int64_t ToNanos() const { return absl::ToInt64Nanoseconds(since_zero_); }

  // For std::condition_variable and the like. Infinite moments become the furthest there are.
  std::chrono::steady_clock::time_point ToChrono() const {
    return std::chrono::steady_clock::time_point(absl::ToChronoNanoseconds(since_zero_));
  }

  friend absl::Duration operator-(SteadyTime a, SteadyTime b) {
    return a.since_zero_ - b.since_zero_;
  }
  friend SteadyTime operator+(SteadyTime a, absl::Duration b) {
    return SteadyTime(a.since_zero_ + b);
  }
  friend SteadyTime operator-(SteadyTime a, absl::Duration b) {
    return SteadyTime(a.since_zero_ - b);
  }
  friend bool operator==(SteadyTime a, SteadyTime b) { return a.since_zero_ == b.since_zero_; }
  friend bool operator!=(SteadyTime a, SteadyTime b) { return a.since_zero_ != b.since_zero_; }
  friend bool operator<(SteadyTime a, SteadyTime b) { return a.since_zero_ < b.since_zero_; }
  friend bool operator<=(SteadyTime a, SteadyTime b) { return a.since_zero_ <= b.since_zero_; }
  friend bool operator>(SteadyTime a, SteadyTime b) { return a.since_zero_ > b.since_zero_; }
  friend bool operator>=(SteadyTime a, SteadyTime b) { return a.since_zero_ >= b.since_zero_; }

 private:
  constexpr explicit SteadyTime(absl::Duration since_zero) : since_zero_(since_zero) {}

  absl::Duration since_zero_;
};

}  // namespace sdar
