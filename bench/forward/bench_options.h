// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bench/device/count_list.h"
#include "launcher/flags/flags.h"

namespace sdar {

struct BenchOptions {
  std::string device = "cpu";
  std::string shape = "1.7b";
  int layers = 0;          // 0: all
  bool synthetic = false;  // changes nothing: weights are always made up
  std::string dtype = "bfloat16";
  std::string weights = "dtype";
  std::string instruction_set = "auto";
  int threads = 0;  // 0: all cores
  std::string rows = "1,2,4,8,14,32,128";
  std::string batch = "1,2,8";
  std::string routing = "uniform";
  std::string graphs = "on";
  std::string steps;  // empty: block_length
  int64_t context = 1024;
  int64_t block_length = 4;
  bool greedy = false;  // else every logit row is drawn from
  bool profile = false;
  int repeats = 5;
  std::string json;

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

void AddBenchFlags(BenchOptions& options, FlagSpec& spec);

// "1,1.5,4" as denoising steps per block on average, 1 .. block_length; an empty list is
// block_length. InvalidArgument otherwise.
absl::StatusOr<std::vector<double>> ParseSteps(const std::string& list, int64_t block_length);

}  // namespace sdar
