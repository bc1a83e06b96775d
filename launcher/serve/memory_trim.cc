// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/memory_trim.h"

#include <algorithm>
#include <fstream>

#include <malloc.h>
#include <unistd.h>

namespace sdar {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(2);
// Memory that is not worth the while.
constexpr size_t kKeptBytes = size_t{8} << 20;

// What the process holds of its own, in memory; 0 where /proc does not say.
size_t ResidentBytes() {
  size_t size = 0;
  size_t resident = 0;
  size_t shared = 0;
  std::ifstream("/proc/self/statm") >> size >> resident >> shared;
  return (resident - std::min(shared, resident)) * static_cast<size_t>(getpagesize());
}

}  // namespace

MemoryTrim::MemoryTrim() : thread_([this] { Loop(); }) {}

MemoryTrim::~MemoryTrim() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void MemoryTrim::Loop() {
  size_t before = ResidentBytes();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto closing = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closing_; };
      if (changed_.AwaitUntil(mutex_, SteadyTime::Now() + kInterval, closing)) return;
    }
    // Free memory alone says little: what was given back counts as free, too.
    const size_t now = ResidentBytes();
    if (now > before + kKeptBytes && mallinfo2().fordblks > kKeptBytes) malloc_trim(0);
    before = now > before + kKeptBytes ? ResidentBytes() : std::min(before, now);
  }
}

}  // namespace sdar
