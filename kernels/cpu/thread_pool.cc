// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <utility>

#include <pthread.h>
#include <sched.h>

namespace sdar {
namespace {

// About 50 us of pauses: longer than the gap between two loops of one forward pass, far shorter
// than a user notices.
constexpr int kSpinRounds = 4000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void PinTo(const std::vector<int>& cpus, int index) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpus[static_cast<size_t>(index) % cpus.size()]), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Waits until `value` differs from `old`.
template <typename T>
T AwaitChange(const std::atomic<T>& value, T old, bool spin) {
  for (int i = 0; spin && i < kSpinRounds; ++i) {
    const T now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(Options options)
    : options_(std::move(options)), left_(static_cast<size_t>(options_.num_threads)) {
  for (int i = 1; i < options_.num_threads; ++i) {
    workers_.emplace_back([this, i] { WorkerLoop(i); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::PinCaller() const { PinTo(options_.cpus, 0); }

void ThreadPool::Run(int64_t count, absl::FunctionRef<void(int64_t, int64_t)> body) {
  if (workers_.empty() || count <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  body_ = &body;
  count_ = count;
  unfinished_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  RunPart(0);
  int32_t left = unfinished_.load(std::memory_order_acquire);
  while (left != 0) left = AwaitChange(unfinished_, left, options_.spin);
}

void ThreadPool::RunBalanced(int64_t count, absl::FunctionRef<void(int64_t, int)> body) {
  if (count <= 1) {
    if (count > 0) body(0, 0);
    return;
  }
  const int64_t threads = options_.num_threads;
  for (int64_t t = 0; t < threads; ++t) {
    Left& left = left_[static_cast<size_t>(t)];
    left.next.store(PartBegin(count, t), std::memory_order_relaxed);
    left.end = PartBegin(count, t + 1);
  }
  const auto work = [&](int64_t thread) {
    for (int64_t i = 0; i < threads; ++i) {
      Left& left = left_[static_cast<size_t>((thread + i) % threads)];
      while (true) {
        const int64_t index = left.next.fetch_add(1, std::memory_order_relaxed);
        if (index >= left.end) break;
        body(index, static_cast<int>(thread));
      }
    }
  };
  Run(threads, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) work(thread);
  });
}

void ThreadPool::RunPart(int index) const {
  const int64_t begin = PartBegin(count_, index), end = PartBegin(count_, index + 1);
  if (begin < end) (*body_)(begin, end);
}

void ThreadPool::WorkerLoop(int index) {
  PinTo(options_.cpus, index);
  uint32_t seen = 0;
  while (true) {
    seen = AwaitChange(generation_, seen, options_.spin);
    if (stopping_.load(std::memory_order_relaxed)) return;
    RunPart(index);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

}  // namespace sdar
