// SPDX-License-Identifier: Apache-2.0
// What a load run measured, as numbers, Markdown and JSON. Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "bench/load/load_options.h"
#include "bench/load/load_run.h"
#include "common/json.h"

namespace sdar {

// Of milliseconds. All zero when there is no value.
struct Percentiles {
  int64_t count = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
};

// The smallest value that at least p of 100 are not above (nearest rank).
Percentiles PercentilesOf(std::vector<double> values);

struct LoadSummary {
  double elapsed_seconds = 0;
  int64_t sent = 0;
  int64_t completed = 0;                  // ended OK
  int64_t cancelled = 0;                  // on purpose
  int64_t unfinished = 0;                 // when the run was stopped
  std::map<std::string, int64_t> errors;  // by code, calls cancelled on purpose apart
  double requests_per_s = 0;              // completed
  double tokens_per_s = 0;                // of output, all calls
  // Of completed calls; the first and the last from the intended arrival.
  Percentiles first_token_ms;
  Percentiles per_token_ms;  // a call's mean time per token after its first piece
  Percentiles between_ms;    // pieces of output
  Percentiles end_to_end_ms;
  Percentiles late_ms;  // the start of a call after its intended arrival: this program's own delay
  int64_t prompt_tokens = 0;  // of completed calls, and so on
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  int64_t forward_passes = 0;
  int64_t preemptions = 0;

  double passes_per_token() const;
};

LoadSummary Summarize(const LoadResult& result);

std::string ToMarkdown(const LoadOptions& options, const LoadResult& result,
                       const LoadSummary& summary);
Json ToJson(const LoadOptions& options, const LoadResult& result, const LoadSummary& summary);

}  // namespace sdar
