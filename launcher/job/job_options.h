// SPDX-License-Identifier: Apache-2.0
// The flags of every program that runs a model, and their defaults.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "launcher/flags/flags.h"

namespace sdar {

struct JobOptions {
  std::string model;
  std::string device = "auto";
  std::string cuda_graphs = "on";
  std::string dtype = "bfloat16";
  std::string weights = "dtype";
  std::string instruction_set = "auto";
  int threads = 0;          // per rank; 0: the rank's cores
  int tensor_parallel = 0;  // ranks that share a model; 0: all
  std::string moe_exchange = "auto";
  bool fuse_commit = true;
  int max_sequences = 32;
  bool prefix_cache = true;
  int64_t max_batch_rows = 512;
  int64_t max_prefill_rows = 128;
  double prefill_share = 0.5;
  int64_t max_sequence_length = 0;  // 0: what the model was made for
  int64_t page_size = 64;
  int64_t max_waiting = 1024;                     // samples in the queue; sdar-serve has a flag
  int64_t max_waiting_tokens = int64_t{1} << 20;  // prompt tokens in the queue; likewise
  std::string kv_memory = "1GiB";                 // per rank, or a part of what its host has free
  int64_t block_length = 0;                       // 0: the model's
  std::string drafts = "auto";
  std::string generation_config = "auto";
  int64_t step_timeout_s = 60;
  std::string record_plans;  // file; empty: none
  int64_t exact_pages = 0;   // pages of K/V memory whatever its size; 0: as many as fit. No flag
  std::string log_level = "info";
  std::string log_format = "text";

  // InvalidArgument names the flag.
  absl::Status Validate() const;
  // What the bits of results depend on: "bfloat16", or "bfloat16, int8 weights".
  std::string Arithmetic() const;
};

// Adds the flags above to a program's.
void AddJobFlags(JobOptions& options, FlagSpec& spec);

}  // namespace sdar
