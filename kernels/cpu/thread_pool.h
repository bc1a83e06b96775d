// SPDX-License-Identifier: Apache-2.0
// A fixed team of threads that share loops: pinned to cores they own, spinning briefly before they
// sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace sdar {

// Runs loops over [0, count) on a fixed number of threads, the caller among them. One caller at a
// time.
class ThreadPool {
 public:
  struct Options {
    int num_threads = 1;
    std::vector<int>
        cpus;  // one logical CPU per thread, thread 0 (the caller) included; empty: not pinned
    bool spin = false;  // wait for the next loop by spinning first; only where every thread has its
                        // own core
  };
  explicit ThreadPool(Options options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return options_.num_threads; }

  // Pins the calling thread to the first CPU of the options. Call it on the thread that will call
  // Run.
  void PinCaller() const;

  // Calls body(begin, end) on contiguous parts of [0, count), one per thread, and waits for all.
  // The split depends only on count and num_threads.
  void Run(int64_t count, absl::FunctionRef<void(int64_t begin, int64_t end)> body);

  // Calls body(index, thread) for every index of [0, count) and waits for all; threads are numbered
  // from 0, and a number is that of one call at a time. A thread takes the indices of its part of
  // Run's split in ascending order, then what others have left of theirs: nobody waits long for a
  // thread whose core was taken away meanwhile.
  void RunBalanced(int64_t count, absl::FunctionRef<void(int64_t index, int thread)> body);

 private:
  // What is left of a thread's part of a balanced loop.
  struct alignas(64) Left {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  void WorkerLoop(int index);
  void RunPart(int index) const;
  int64_t PartBegin(int64_t count, int64_t index) const {
    return count * index / options_.num_threads;
  }

  Options options_;
  std::vector<Left> left_;  // one a thread
  std::vector<std::thread> workers_;
  const absl::FunctionRef<void(int64_t, int64_t)>* body_ = nullptr;  // of the loop in progress
  int64_t count_ = 0;
  std::atomic<uint32_t> generation_{0};  // counts loops; workers wait for it to change
  std::atomic<int32_t> unfinished_{0};   // workers still in the current loop
  std::atomic<bool> stopping_{false};
};

}  // namespace sdar
