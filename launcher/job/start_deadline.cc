// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/start_deadline.h"

#include <cstdio>
#include <cstdlib>

namespace sdar {

StartDeadline::StartDeadline(absl::Duration timeout, const std::string& what)
    : thread_([this, timeout, what] {
        absl::MutexLock lock(&mutex_);
        const auto met = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return met_; };
        if (met_changed_.AwaitUntil(mutex_, SteadyTime::Now() + timeout, met)) return;
        std::fprintf(stderr, "%s within %s\n", what.c_str(), absl::FormatDuration(timeout).c_str());
        std::_Exit(1);
      }) {}

StartDeadline::~StartDeadline() {
  {
    absl::MutexLock lock(&mutex_);
    met_ = true;
    met_changed_.NotifyAll();
  }
  thread_.join();
}

}  // namespace sdar
