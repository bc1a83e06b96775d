// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/graceful_stop.h"

#include <utility>

#include "common/log.h"
#include "common/steady_time.h"

namespace sdar {

GracefulStop::GracefulStop(GenerationService& service,
                           std::function<void(const absl::Status&)> stop_engine, Timeouts timeouts)
    : service_(service),
      stop_engine_(std::move(stop_engine)),
      timeouts_(timeouts),
      thread_([this] { Loop(); }) {}

GracefulStop::~GracefulStop() {
  EngineEnded();
  thread_.join();
}

void GracefulStop::Drain() { Raise(State::kDraining); }

void GracefulStop::Stop() { Raise(State::kStopping); }

void GracefulStop::EngineEnded() { Raise(State::kEnded); }

void GracefulStop::Raise(State to) {
  absl::MutexLock lock(&mutex_);
  if (state_ < to) state_ = to;
  raised_.NotifyAll();
}

bool GracefulStop::AwaitState(State at_least, absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto reached = [this, at_least]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return state_ >= at_least; };
  return raised_.AwaitUntil(mutex_, SteadyTime::Now() + timeout, reached);
}

void GracefulStop::Loop() {
  AwaitState(State::kDraining, absl::InfiniteDuration());
  if (timeouts_.delay > absl::ZeroDuration()) Retire();
  if (!AwaitState(State::kStopping, absl::ZeroDuration())) AwaitCalls();
  if (!AwaitState(State::kEnded, absl::ZeroDuration())) StopNow();
}

void GracefulStop::Retire() {
  service_.Retire(absl::UnavailableError("the server is about to drain"));
  spdlog::info("draining begins in {}: calls are still taken, health says that none should come",
               absl::FormatDuration(timeouts_.delay));
  AwaitState(State::kStopping, timeouts_.delay);
}

void GracefulStop::AwaitCalls() {
  constexpr absl::Duration kInterval = absl::Milliseconds(10);
  service_.Refuse(absl::UnavailableError("the server is draining: it takes no new calls"));
  spdlog::info("draining: {} open call(s) may take {}", service_.num_open_calls(),
               absl::FormatDuration(timeouts_.drain));
  const SteadyTime deadline = SteadyTime::Now() + timeouts_.drain;
  while (service_.num_open_calls() > 0) {
    if (AwaitState(State::kStopping, kInterval)) return;
    if (SteadyTime::Now() < deadline) continue;
    spdlog::warn("draining: {} call(s) are still open after {}", service_.num_open_calls(),
                 absl::FormatDuration(timeouts_.drain));
    return;
  }
}

void GracefulStop::StopNow() {
  const absl::Status stopping = absl::UnavailableError("the server is stopping");
  service_.Refuse(stopping);
  stop_engine_(stopping);
  // mpirun kills, a second after SIGTERM, a rank that waits for one that is lost.
  if (!AwaitState(State::kEnded, timeouts_.engine)) service_.FailAll(stopping, timeouts_.answers);
}

}  // namespace sdar
