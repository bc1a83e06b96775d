// SPDX-License-Identifier: Apache-2.0
// Signals taken one at a time, when the program asks for them.
#pragma once

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>

#include "absl/time/time.h"

#include "common/steady_time.h"

namespace sdar {

// Blocks SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGCHLD for the process; make it before any thread.
// They stay blocked in children until these unblock them.
class SignalQueue {
 public:
  SignalQueue() {
    sigemptyset(&set_);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD}) sigaddset(&set_, signal);
    sigprocmask(SIG_BLOCK, &set_, nullptr);
  }

  // The next signal; none has come by `deadline` where there is none.
  std::optional<int> Next(SteadyTime deadline) const {
    while (true) {
      const absl::Duration left = std::max(deadline - SteadyTime::Now(), absl::ZeroDuration());
      const timespec timeout = absl::ToTimespec(std::min(left, absl::Hours(1)));
      const int signal = sigtimedwait(&set_, nullptr, &timeout);
      if (signal > 0) return signal;
      if (SteadyTime::Now() >= deadline) return std::nullopt;
    }
  }

  // Waits for so long. False when a signal to end has come before.
  bool Pause(absl::Duration duration) const {
    const SteadyTime deadline = SteadyTime::Now() + duration;
    while (true) {
      const std::optional<int> signal = Next(deadline);
      if (!signal.has_value()) return true;
      if (*signal != SIGCHLD) return false;
    }
  }

 private:
  sigset_t set_;
};

}  // namespace sdar
