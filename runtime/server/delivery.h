// SPDX-License-Identifier: Apache-2.0
// Takes updates off the engine's hands, which has steps to run.
#pragma once

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "runtime/request/generation_request.h"

namespace sdar {

// A thread that passes updates on, in the order in which they came. What waits is not bounded:
// those who get the updates bound what they keep. Thread-safe.
class Delivery {
 public:
  Delivery();
  // Passes on what has come. Requires: nothing comes any more.
  ~Delivery();

  // A callback that only notes its update, for `callback` to get on this class's thread. Requires:
  // it is called while this lives.
  UpdateCallback Later(UpdateCallback callback);

 private:
  using Item = std::pair<std::shared_ptr<const UpdateCallback>, SequenceUpdate>;

  void Post(Item item);
  void Loop();
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !items_.empty() || closing_; }

  absl::Mutex mutex_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
