// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/memory_trim.h"

#include <malloc.h>

namespace sdar {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(2);
// Free memory that is not worth the while.
constexpr size_t kKeptBytes = size_t{8} << 20;

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
  size_t free_before = 0;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto closing = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closing_; };
      if (changed_.AwaitUntil(mutex_, SteadyTime::Now() + kInterval, closing)) return;
    }
    // What stays free after a trim lies between what is in use, on the same pages.
    const size_t free = mallinfo2().fordblks;
    if (free < free_before + kKeptBytes) {
      free_before = free < free_before ? free : free_before;
      continue;
    }
    malloc_trim(0);
    free_before = mallinfo2().fordblks;
  }
}

}  // namespace sdar
