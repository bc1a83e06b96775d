// SPDX-License-Identifier: Apache-2.0
// When a client that was refused for a full queue should try again, carried inside the status.
#pragma once

#include <deque>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "common/steady_time.h"

namespace sdar {

// The status payload that holds the delay, in decimal milliseconds.
inline constexpr char kRetryDelayPayload[] = "sdar.v1/retry-delay-ms";

// `status` with a delay attached. Requires: not OK.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
// The delay that WithRetryDelay attached; absent where there is none.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// How fast sequences have been ending lately. One thread.
class EndRate {
 public:
  void NoteEnd(SteadyTime now);
  // How long `waiting` sequences take to leave the queue at that rate: 100 ms .. 60 s, and 1 s
  // where nothing has ended yet.
  absl::Duration TimeToDrain(int64_t waiting, SteadyTime now) const;

 private:
  std::deque<SteadyTime> ends_;  // the last few, ascending
};

}  // namespace sdar
