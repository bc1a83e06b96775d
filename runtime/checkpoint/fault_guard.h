// SPDX-License-Identifier: Apache-2.0
// Turns the signal that ends a process which touches a mapped file's missing pages into a flag.
#pragma once

#include <atomic>
#include <cstddef>

namespace sdar {

// Guards one mapping. A page that cannot be read, because the file has become shorter or the disk
// fails, would raise SIGBUS. While this lives the whole rest of the mapping becomes zeros instead,
// and has_faulted() says so. Other faults go to the handler that was there before.
class FaultGuard {
 public:
  // The first of a process installs the handler of SIGBUS. Requires: [data, data + size) is a
  // mapping of whole pages but for its end, and outlives this.
  FaultGuard(const void* data, size_t size);
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  // Any thread.
  bool has_faulted() const { return has_faulted_.load(); }

 private:
  friend struct FaultHandler;

  const char* begin_;
  const char* end_;
  std::atomic<bool> has_faulted_{false};
};

}  // namespace sdar
