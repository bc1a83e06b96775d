// SPDX-License-Identifier: Apache-2.0
// The results of sdar-bench as Markdown tables and as JSON. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "bench/forward/bench_options.h"
#include "bench/forward/forward_bench.h"
#include "common/json.h"

namespace sdar {

// Decoding one block of every sequence of a batch.
struct DecodeSpeed {
  int64_t batch = 0;
  double steps = 0;  // denoising steps per block, on average
  bool fused = true;
  double ms_per_block = 0;
  double tokens_per_s = 0;  // of all sequences together
  // Where a step computes the logits of positions that are masked then, as the engine does.
  double masked_ms_per_block = 0;
  double masked_tokens_per_s = 0;
};

struct BenchResults {
  std::string backend;
  std::string model;  // "1.7b (28 layers)"
  int num_experts = 0;
  std::vector<PassTimes> passes;
  std::vector<DecodeSpeed> decoding;
  std::vector<MatMulSpeed> matmuls;  // on the CPU
  PackSpeed packing;
};

std::string ToMarkdown(const BenchOptions& options, const BenchResults& results);
Json ToJson(const BenchOptions& options, const BenchResults& results);

}  // namespace sdar
