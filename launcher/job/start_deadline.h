// SPDX-License-Identifier: Apache-2.0
// A bound on how long the ranks may take to meet.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_condition.h"

namespace sdar {

// Ends the process with exit code 1 and one line on standard error, unless it is destroyed within
// `timeout`. Until the watchdog runs nothing else notices a rank that hangs.
class StartDeadline {
 public:
  StartDeadline(absl::Duration timeout, const std::string& what);
  ~StartDeadline();
  StartDeadline(const StartDeadline&) = delete;
  StartDeadline& operator=(const StartDeadline&) = delete;

 private:
  absl::Mutex mutex_;
  SteadyCondition met_changed_;
  bool met_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
