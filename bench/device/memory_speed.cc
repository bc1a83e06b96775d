// SPDX-License-Identifier: Apache-2.0
#include "bench/device/memory_speed.h"

#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "common/status_macros.h"
#include "kernels/cpu/host_memory.h"

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

absl::StatusOr<std::unique_ptr<MemorySpeed>> MemorySpeed::Create(const CoreShare& cores,
                                                                 size_t size_bytes) {
  SDAR_ASSIGN_OR_RETURN(DeviceBuffer memory, AllocateHostMemory(size_bytes));
  return std::unique_ptr<MemorySpeed>(new MemorySpeed(cores, std::move(memory)));
}

MemorySpeed::MemorySpeed(const CoreShare& cores, DeviceBuffer memory)
    : pool_({cores.num_threads, cores.cpus, cores.spin}),
      memory_(std::move(memory)),
      words_(static_cast<uint64_t*>(memory_.data()), memory_.size_bytes() / sizeof(uint64_t)),
      sums_(static_cast<size_t>(cores.num_threads)) {
  for (uint64_t& word : words_) word = 1;  // pages that nobody wrote may all be the same one
}

double MemorySpeed::Read() {
  const absl::Time start = absl::Now();
  const int threads = pool_.num_threads();
  pool_.Run(threads, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto part = static_cast<size_t>(t);
      const size_t size = words_.size() / static_cast<size_t>(threads);
      sums_[part] = Sum(words_.data() + part * size, size);
    }
  });
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return static_cast<double>(words_.size() * sizeof(uint64_t)) / seconds;
}

absl::StatusOr<double> MemorySpeed::Copy() {
  const absl::Time start = absl::Now();
  const size_t bytes = memory_.size_bytes() / 2;
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer copy, AllocateHostMemory(bytes));
  const auto threads = static_cast<size_t>(pool_.num_threads());
  pool_.Run(pool_.num_threads(), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const size_t first = bytes * static_cast<size_t>(t) / threads;
      const size_t last = bytes * static_cast<size_t>(t + 1) / threads;
      std::memcpy(static_cast<char*>(copy.data()) + first,
                  static_cast<const char*>(memory_.data()) + first, last - first);
    }
  });
  return static_cast<double>(bytes) / absl::ToDoubleSeconds(absl::Now() - start);
}

}  // namespace sdar
