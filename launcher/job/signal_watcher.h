// SPDX-License-Identifier: Apache-2.0
// Turns SIGINT, SIGTERM and SIGUSR1 into calls on a thread of their own.
#pragma once

#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "common/log.h"

namespace sdar {

// Blocks the signals for this thread and all it starts from now on; make it before any other
// thread. Until OnSignal is called a signal ends the process at once. mpirun passes SIGUSR1 on to
// every rank and waits for them, where SIGTERM kills them after a second.
class SignalWatcher {
 public:
  SignalWatcher() {
    sigemptyset(&set_);
    for (int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this] { Loop(); });
  }
  ~SignalWatcher() {
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
    }
    thread_.join();
  }
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // Calls `handler` for every signal from now on.
  void OnSignal(std::function<void(int signal)> handler) {
    absl::MutexLock lock(&mutex_);
    handler_ = std::move(handler);
  }

 private:
  void Loop() {
    while (true) {
      const timespec timeout = {0, 100'000'000};
      const int signal = sigtimedwait(&set_, nullptr, &timeout);
      absl::MutexLock lock(&mutex_);
      if (closing_) return;
      if (signal > 0) handler_(signal);
    }
  }

  sigset_t set_;
  absl::Mutex mutex_;
  std::function<void(int)> handler_ ABSL_GUARDED_BY(mutex_) = [](int signal) {
    spdlog::default_logger()->flush();
    std::_Exit(128 + signal);
  };
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
