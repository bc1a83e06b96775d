// SPDX-License-Identifier: Apache-2.0
// Counts rings, and lets one thread sleep until there were enough.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace sdar {

// Thread-safe.
class Doorbell {
 public:
  // Makes the number of rings at least `count`.
  void RingTo(uint64_t count) {
    absl::MutexLock lock(&mutex_);
    rings_ = std::max(rings_, count);
  }

  // Waits until there were at least `count` rings.
  void WaitFor(uint64_t count) {
    absl::MutexLock lock(&mutex_);
    const auto rung = [this, count]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return rings_ >= count; };
    mutex_.Await(absl::Condition(&rung));
  }

  uint64_t rings() const {
    absl::MutexLock lock(&mutex_);
    return rings_;
  }

 private:
  mutable absl::Mutex mutex_;
  uint64_t rings_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sdar
