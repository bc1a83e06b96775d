// SPDX-License-Identifier: Apache-2.0
// What the server counts, in Prometheus' text format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "runtime/server/metrics/status_families.h"

namespace sdar {

struct ServerMetricsOptions {
  std::string model_name;  // a label of every metric
  std::string version;
  std::string backend;
  std::string dtype;
  int64_t ranks = 1;
  int64_t replicas = 1;
  int64_t max_sequence_length = 4096;  // what the buckets of token counts have to reach
  int64_t page_size = 0;               // positions of a K/V page
  int64_t num_pages = 0;
  // What the start consisted of and how long each part took.
  std::vector<std::pair<std::string, absl::Duration>> load_phases;
};

enum class FinishedReason { kStop, kLength, kAbort, kTimeout, kError };

// The label's value: "stop", ...
const char* Name(FinishedReason reason);

// A call that is over.
struct EndedCall {
  FinishedReason reason = FinishedReason::kError;
  bool scores = false;  // then nothing was generated
  int64_t prompt_tokens = 0;
  int64_t generation_tokens = 0;  // of all its samples, as the next two
  int64_t forward_passes = 0;
  int64_t samples = 1;
  int64_t max_tokens = 0;                 // that a sample was to have at most
  int64_t longest = 0;                    // tokens of the sample that has most
  absl::Duration total;                   // since it arrived
  std::optional<absl::Duration> queued;   // until the first of its samples had a slot
  std::optional<absl::Duration> prefill;  // from then to its first tokens
  std::optional<absl::Duration> decode;   // from then to its last tokens
  // One per sample of several tokens: the mean time of those after the first.
  std::vector<absl::Duration> time_per_output_token;
};

// Counters and histograms of calls, and at a scrape what the job's status says. Every name begins
// with sdar_; those that dashboards for vLLM ask for are there under vLLM's names too. Thread-safe;
// what notes an event takes a lock for a few instructions at most.
class ServerMetrics {
 public:
  explicit ServerMetrics(const ServerMetricsOptions& options);

  // A part of the start that the options did not have; it counts as part of "ready".
  void AddLoadPhase(const std::string& phase, absl::Duration duration);

  // A call was refused before it was queued.
  void Refused(absl::StatusCode code);
  // A call's first tokens are there, `since_arrival`, or its end where it has none. since_arrival
  // is absent where they were not generated.
  void FirstTokens(int64_t prompt_tokens, std::optional<absl::Duration> since_arrival);
  // A sample has got `count` tokens, `since_last` update that brought some; absent: the first.
  void Tokens(int64_t count, std::optional<absl::Duration> since_last);
  // `count` given tokens were scored.
  void Scored(int64_t count);
  void Ended(const EndedCall& call);

  // The answer to a scrape. Waits for no step.
  std::string Scrape(const JobView& view) const;

 private:
  struct SizeHistograms {
    prometheus::Histogram& prompt_tokens;
    prometheus::Histogram& generation_tokens;
    prometheus::Histogram& tokens_per_forward_pass;
    prometheus::Histogram& longest_sample;
    prometheus::Histogram& max_tokens;
    prometheus::Histogram& samples;
  };

  prometheus::Family<prometheus::Counter>& CounterFamily(const std::string& name,
                                                         const std::string& help);
  prometheus::Histogram& AddHistogram(const std::string& name, const std::string& help,
                                      const prometheus::Histogram::BucketBoundaries& bounds);
  SizeHistograms AddSizes(int64_t max_sequence_length);
  // What has not happened yet is a zero, not a gap.
  void AddZeros();
  void AddConstants(const ServerMetricsOptions& options);

  const std::string model_name_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Gauge>& load_phases_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& refused_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& generation_tokens_;
  prometheus::Counter& scored_tokens_;
  prometheus::Histogram& time_to_first_token_;
  prometheus::Histogram& inter_token_latency_;
  prometheus::Histogram& time_per_output_token_;
  prometheus::Histogram& latency_;
  prometheus::Histogram& queue_time_;
  prometheus::Histogram& prefill_time_;
  prometheus::Histogram& decode_time_;
  prometheus::Histogram& inference_time_;
  SizeHistograms sizes_;
};

}  // namespace sdar
