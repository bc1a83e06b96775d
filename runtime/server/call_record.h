// SPDX-License-Identifier: Apache-2.0
// What one call took and brought.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "common/json.h"
#include "common/steady_time.h"
#include "runtime/request/generation_request.h"
#include "runtime/server/metrics/server_metrics.h"

namespace sdar {

// Counts a call in the metrics as it goes on and when it ends, and sums it up for the log.
// Thread-hostile; allocates nothing per token.
class CallRecord {
 public:
  struct Call {
    SteadyTime arrival;
    int64_t prompt_tokens = 0;
    int num_samples = 1;
    int64_t max_tokens = 0;  // of a sample
    bool scores = false;     // its tokens are targets that are scored
  };
  // Requires: metrics outlive this.
  CallRecord(const Call& call, ServerMetrics& metrics);

  // News of sample `index`, on its way to the client.
  void Note(int index, const SequenceUpdate& update, SteadyTime now);
  // The client is told how the call ended. Once; nothing is noted after it.
  void End(const absl::Status& status, SteadyTime now);

  // What the log says of the call: counts, times and reasons, never text. After End.
  Json Summary() const;

 private:
  struct Sample {
    std::optional<SteadyTime> first;  // when its first tokens came
    SteadyTime last;                  // when its last ones did
    int64_t tokens = 0;
    std::optional<FinishReason> reason;
  };

  void NoteTokens(const SequenceUpdate& update, Sample& sample, SteadyTime now);
  void MeasureSamples();
  FinishedReason ReasonOf(const absl::Status& status) const;

  const Call call_;
  ServerMetrics& metrics_;
  std::vector<Sample> samples_;
  SteadyTime started_ = SteadyTime::InfiniteFuture();  // when one of them first had a slot
  std::optional<absl::Duration> to_first_token_;
  int64_t scored_tokens_ = 0;
  int64_t denoising_steps_ = 0;
  int64_t cached_tokens_ = 0;  // of the prompt, once per sample
  EndedCall ended_;
  absl::Status status_;
};

}  // namespace sdar
