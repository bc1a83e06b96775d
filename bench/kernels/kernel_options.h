// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-kernel-bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "launcher/flags/flags.h"

namespace sdar {

struct KernelOptions {
  std::string device = "cpu";
  std::string shape = "1.7b";
  std::string dtype = "bfloat16";
  int threads = 0;  // of the CPU; 0: all cores
  // Lists; empty: what suits the device.
  std::string rows;
  std::string batch;
  std::string context;
  std::string block_length;
  std::string only;  // kernels' names; empty: all
  int repeats = 0;   // 0: what suits the device, as in all below
  double batch_ms = 0;
  int64_t cold_megabytes = 0;
  int64_t max_megabytes = 0;
  double bandwidth = 0;  // GB/s; 0: measured
  double peak = 0;       // TFLOP/s; 0: measured
  std::string json;

  bool on_cuda() const { return device == "cuda"; }
  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

void AddKernelFlags(KernelOptions& options, FlagSpec& spec);

// What a sweep runs: the flags with a device's own values where none were given.
struct KernelSweep {
  std::vector<int64_t> rows;
  std::vector<int64_t> batches;
  std::vector<int64_t> contexts;
  std::vector<int64_t> block_lengths;
  std::vector<std::string> only;  // empty: all
  int repeats = 0;
  double batch_seconds = 0;  // of calls between two waits
  int64_t cold_bytes = 0;    // that calls take turns over, so that a cache holds none of it
  int64_t max_bytes = 0;     // of one kernel's K/V

  bool Wants(const std::string& kernel) const;
};

// InvalidArgument names the flag.
absl::StatusOr<KernelSweep> MakeKernelSweep(const KernelOptions& options);

}  // namespace sdar
