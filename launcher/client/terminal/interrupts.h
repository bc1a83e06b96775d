// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, and the terminal's other signals, as events instead of handlers.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sdar {

// Turns SIGINT into the cancellation of the call in progress or, between calls, into the end of the
// program with code 130; in a chat, into an event of the prompt instead. Create it before anything
// that starts threads: they inherit the blocked signals. At most one at a time.
class Interrupts {
 public:
  // What has come since it was last asked.
  struct Events {
    bool interrupted = false;  // SIGINT
    bool resized = false;      // SIGWINCH
    bool resumed = false;      // SIGCONT: others may have used the terminal meanwhile
  };

  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // A call is in progress until End. `cancel` may run on another thread, at once where a SIGINT was
  // kept. Requires: none is in progress.
  void Begin(std::function<void()> cancel);
  // True when a SIGINT has cancelled the call.
  bool End();

  // From now on signals that come between calls are kept for TakeEvents.
  void KeepEvents();
  // Readable while there are events to take.
  int event_fd() const { return event_fd_; }
  Events TakeEvents();

 private:
  void WaitForSignals();
  void Keep(bool Events::*event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int event_fd_;
  absl::Mutex mutex_;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);  // of the call in progress
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool keeps_events_ ABSL_GUARDED_BY(mutex_) = false;
  Events events_ ABSL_GUARDED_BY(mutex_);
  std::thread waiter_;
};

}  // namespace sdar
