// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-bench --server: what load to put on a serving job.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "launcher/flags/flags.h"

namespace sdar {

struct LoadOptions {
  std::string server;           // HOST:PORT; empty: no load, forward passes instead
  double rate = 0;              // open loop: requests per second; 0: closed loop
  int clients = 0;              // closed loop: calls open at a time; 0: open loop
  int64_t requests = 0;         // 0: until the duration is over
  double duration_seconds = 0;  // of sending; 0: until all requests are sent
  std::string prompt_tokens = "uniform:16:128";
  std::string output_tokens = "exponential:64:256";
  int64_t shared_prefix = 0;   // tokens in front of every prompt; 0: none
  int64_t prefix_groups = 1;   // how many different ones there are
  double cancel_fraction = 0;  // of the calls
  double timeout_seconds = 0;  // of every request; 0: none
  uint64_t seed = 1;
  bool provisional = false;

  bool is_open_loop() const { return rate > 0; }
  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

void AddLoadFlags(LoadOptions& options, FlagSpec& spec);

}  // namespace sdar
