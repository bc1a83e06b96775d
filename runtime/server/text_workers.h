// SPDX-License-Identifier: Apache-2.0
// Threads for what users' texts cost: parsing, templates, tokenization.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace sdar {

struct TextWorkersOptions {
  int threads = 2;
  size_t max_waiting = 1024;
  // A text of more bytes is large. One thread takes no large texts, so that the others' requests
  // pass them by.
  size_t large_bytes = size_t{64} << 10;
};

// Runs work in the order of its coming, large texts apart from the others. Keeps the I/O threads of
// all transports free. Thread-safe.
class TextWorkers {
 public:
  // Called once with OK. Called with another status where it cannot be done: Unavailable at the
  // end, Internal with what the first call threw. Has to tell its caller of it.
  using Work = std::function<void(const absl::Status&)>;

  explicit TextWorkers(const TextWorkersOptions& options);
  // Stop.
  ~TextWorkers();

  // Queues work on a text of `bytes`. ResourceExhausted with a retry delay when as much waits as
  // may; the work is not called then.
  absl::Status Run(size_t bytes, Work work);
  // Refuses what waits, from this thread, and waits for what runs. Later work is refused at once.
  void Stop();

 private:
  void Loop(bool takes_large);
  bool HasWork(bool takes_large) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TextWorkersOptions options_;
  std::vector<std::thread> threads_;
  mutable absl::Mutex mutex_;
  std::deque<Work> small_ ABSL_GUARDED_BY(mutex_);
  std::deque<Work> large_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sdar
