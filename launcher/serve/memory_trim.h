// SPDX-License-Identifier: Apache-2.0
// Gives memory that is free within the process back to the system.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "common/steady_condition.h"

namespace sdar {

// The allocator keeps what a burst of connections has left in pieces between what is in use: after
// ten thousand of gRPC's that begin wrongly, 150 MiB of it. A thread looks for such memory every
// few seconds.
class MemoryTrim {
 public:
  MemoryTrim();
  ~MemoryTrim();

 private:
  void Loop();

  absl::Mutex mutex_;
  SteadyCondition changed_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
