// SPDX-License-Identifier: Apache-2.0
// How a server ends: at once, or after the calls that it has accepted.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_condition.h"
#include "runtime/server/generation_service.h"

namespace sdar {

// Waits on a thread of its own for Drain or Stop. Thread-safe; nothing blocks but the destructor,
// which waits for what has begun.
class GracefulStop {
 public:
  struct Timeouts {
    // New calls are still taken for so long, while health says that there should be none: a
    // balancer needs the time to notice.
    absl::Duration delay = absl::ZeroDuration();
    absl::Duration drain = absl::Seconds(30);          // what accepted calls may take
    absl::Duration engine = absl::Milliseconds(400);   // the engine, to end what runs
    absl::Duration answers = absl::Milliseconds(400);  // open calls, to hear that the job ends
  };
  // stop_engine ends all requests with a status and makes the engine return; called once at most.
  // Requires: service outlives this.
  GracefulStop(GenerationService& service, std::function<void(const absl::Status&)> stop_engine,
               Timeouts timeouts);
  ~GracefulStop();

  // Retires the service for Timeouts::delay, refuses new calls with Unavailable, lets the open ones
  // end for Timeouts::drain, then stops.
  void Drain();
  // Ends the open calls with Unavailable and stops the engine; also cuts a drain short.
  void Stop();
  // Tells that the engine has returned: there is nothing left to stop.
  void EngineEnded();

 private:
  enum class State { kServing, kDraining, kStopping, kEnded };

  void Raise(State to);
  bool AwaitState(State at_least, absl::Duration timeout);
  void Loop();
  void Retire();
  void AwaitCalls();
  void StopNow();

  GenerationService& service_;
  const std::function<void(const absl::Status&)> stop_engine_;
  const Timeouts timeouts_;
  absl::Mutex mutex_;
  SteadyCondition raised_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kServing;
  std::thread thread_;
};

}  // namespace sdar
