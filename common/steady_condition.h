// SPDX-License-Identifier: Apache-2.0
// Waits with a timeout that setting the clock neither shortens nor lengthens, which absl::Mutex's
// own timed waits do not have.
#pragma once

#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "common/steady_time.h"

namespace sdar {

// What threads that hold a mutex wait on. Thread-safe.
class SteadyCondition {
 public:
  // Makes all who wait look again: call it after a change that one of them may wait for. With the
  // mutex or without.
  void NotifyAll() { changed_.notify_all(); }

  // Waits until `holds` returns true or `deadline` has come, and returns what `holds` last did. The
  // mutex is released while this waits; `holds` is called with it.
  template <typename Predicate>
  bool AwaitUntil(absl::Mutex& mutex, SteadyTime deadline, const Predicate& holds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Held held{mutex};
    while (!holds()) {
      if (deadline == SteadyTime::InfiniteFuture()) {
        changed_.wait(held);
      } else if (changed_.wait_until(held, deadline.ToChrono()) == std::cv_status::timeout) {
        return holds();
      }
    }
    return true;
  }

 private:
  // A mutex as the standard library wants it.
  struct Held {
    absl::Mutex& mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }
  };

  std::condition_variable_any changed_;
};

}  // namespace sdar
