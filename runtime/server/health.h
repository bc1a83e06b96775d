// SPDX-License-Identifier: Apache-2.0
// Whether the job makes progress, as health checks should hear it.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "runtime/cluster/watchdog.h"

namespace sdar {

// What is known of a job.
struct HealthView {
  absl::Status refusal;           // why new calls are refused, or should go elsewhere; else OK
  absl::Duration step_age;        // of the step in progress that has run longest
  std::vector<RankHealth> ranks;  // rank 0 counts as always heard
};

// Well below what ends the job (WatchdogOptions): a balancer should have gone elsewhere by then.
struct HealthLimits {
  absl::Duration step_age = absl::Seconds(10);
  absl::Duration silence = absl::Seconds(2);
};

// Why the job should get no new calls, in words; empty when it should. Pure; any thread.
std::string FindTrouble(const HealthView& view, const HealthLimits& limits, SteadyTime now);

// Asks for trouble again and again on a thread of its own, and tells when it comes or
// goes. Until the first trouble the job counts as healthy.
class HealthWatch {
 public:
  // on_change gets the trouble, empty when it has passed, on the watch's thread.
  HealthWatch(std::function<std::string()> find_trouble,
              std::function<void(const std::string&)> on_change,
              absl::Duration interval = absl::Milliseconds(250));
  ~HealthWatch();

 private:
  void Loop();

  const std::function<std::string()> find_trouble_;
  const std::function<void(const std::string&)> on_change_;
  const absl::Duration interval_;
  absl::Mutex mutex_;
  SteadyCondition closes_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
