// SPDX-License-Identifier: Apache-2.0
#include "bench/memory_read.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace sdar {
namespace {

constexpr size_t kStreams = 8;  // words added side by side, so that the loop waits for memory only

uint64_t Sum(const uint64_t* words, size_t count) {
  uint64_t sums[kStreams] = {};
  for (size_t i = 0; i + kStreams <= count; i += kStreams) {
    for (size_t s = 0; s < kStreams; ++s) sums[s] += words[i + s];
  }
  uint64_t sum = 0;
  for (uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

MemoryRead::MemoryRead(const CoreShare& cores, size_t size_bytes)
    : pool_({cores.num_threads, cores.cpus, cores.spin}),
      buffer_(size_bytes / sizeof(uint64_t), 1),
      sums_(static_cast<size_t>(cores.num_threads)) {}

double MemoryRead::Run() {
  const absl::Time start = absl::Now();
  const int threads = pool_.num_threads();
  pool_.Run(threads, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto part = static_cast<size_t>(t);
      const size_t size = buffer_.size() / static_cast<size_t>(threads);
      sums_[part] = Sum(buffer_.data() + part * size, size);
    }
  });
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return static_cast<double>(buffer_.size() * sizeof(uint64_t)) / seconds;
}

}  // namespace sdar
