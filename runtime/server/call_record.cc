// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/call_record.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/steady_time.h"

namespace sdar {
namespace {

// Milliseconds with three decimals.
double ToMilliseconds(absl::Duration duration) {
  return std::round(absl::ToDoubleMicroseconds(duration)) / 1000;
}

}  // namespace

CallRecord::CallRecord(const Call& call, ServerMetrics& metrics)
    : call_(call), metrics_(metrics), samples_(static_cast<size_t>(call.num_samples)) {}

void CallRecord::Note(int index, const SequenceUpdate& update, SteadyTime now) {
  Sample& sample = samples_[static_cast<size_t>(index)];
  const bool answered = !update.tokens.empty() || (update.end && update.end->status.ok());
  if (answered && !to_first_token_) {
    to_first_token_ = now - call_.arrival;
    metrics_.FirstTokens(call_.prompt_tokens, call_.scores ? std::nullopt : to_first_token_);
  }
  if (!update.tokens.empty()) NoteTokens(update, sample, now);
  if (!update.end) return;
  const SequenceUsage& usage = update.end->usage;
  if (update.end->status.ok()) sample.reason = update.end->reason;
  started_ = std::min(started_, usage.started);
  denoising_steps_ += usage.denoising_steps;
  cached_tokens_ += usage.cached_tokens;
  ended_.forward_passes += usage.forward_passes;
}

void CallRecord::NoteTokens(const SequenceUpdate& update, Sample& sample, SteadyTime now) {
  const auto count = static_cast<int64_t>(update.tokens.size());
  if (call_.scores) {
    metrics_.Scored(count);
  } else {
    metrics_.Tokens(count, sample.first ? std::make_optional(now - sample.last) : std::nullopt);
  }
  if (!sample.first) sample.first = now;
  sample.last = now;
  sample.tokens += count;
}

FinishedReason CallRecord::ReasonOf(const absl::Status& status) const {
  if (absl::IsCancelled(status)) return FinishedReason::kAbort;
  if (absl::IsDeadlineExceeded(status)) return FinishedReason::kTimeout;
  if (!status.ok()) return FinishedReason::kError;
  const bool cut = std::any_of(samples_.begin(), samples_.end(), [](const Sample& sample) {
    return sample.reason == FinishReason::kLength;
  });
  return cut ? FinishedReason::kLength : FinishedReason::kStop;
}

void CallRecord::End(const absl::Status& status, SteadyTime now) {
  status_ = status;
  ended_.reason = ReasonOf(status);
  ended_.scores = call_.scores;
  ended_.samples = call_.num_samples;
  ended_.max_tokens = call_.max_tokens;
  ended_.prompt_tokens = call_.prompt_tokens;
  ended_.total = now - call_.arrival;
  if (started_ != SteadyTime::InfiniteFuture()) {
    // The clock of another host may be a little slow.
    ended_.queued = std::max(started_ - call_.arrival, absl::ZeroDuration());
  }
  MeasureSamples();
  metrics_.Ended(ended_);
}

void CallRecord::MeasureSamples() {
  std::optional<SteadyTime> last;
  for (const Sample& sample : samples_) {
    (call_.scores ? scored_tokens_ : ended_.generation_tokens) += sample.tokens;
    ended_.longest = std::max(ended_.longest, sample.tokens);
    if (sample.first) last = last ? std::max(*last, sample.last) : sample.last;
    if (call_.scores || sample.tokens < 2) continue;
    ended_.time_per_output_token.push_back((sample.last - *sample.first) / (sample.tokens - 1));
  }
  if (!last || !to_first_token_) return;
  const SteadyTime first = call_.arrival + *to_first_token_;
  ended_.decode = *last - first;
  if (!ended_.queued) return;
  ended_.prefill = std::max(*to_first_token_ - *ended_.queued, absl::ZeroDuration());
}

Json CallRecord::Summary() const {
  Json reasons = Json::array();
  if (!status_.ok()) {
    reasons.push_back(Name(ended_.reason));
  } else {
    for (const Sample& sample : samples_) {
      reasons.push_back(sample.reason == FinishReason::kStop ? "stop" : "length");
    }
  }
  Json summary = {{"prompt_tokens", call_.prompt_tokens},
                  {"generated_tokens", ended_.generation_tokens},
                  {"cached_tokens", cached_tokens_},
                  {"finish_reasons", std::move(reasons)}};
  if (call_.scores) summary["scored_tokens"] = scored_tokens_;
  if (!status_.ok()) summary["status"] = absl::StatusCodeToString(status_.code());
  if (ended_.queued) summary["queue_ms"] = ToMilliseconds(*ended_.queued);
  if (to_first_token_ && !call_.scores) summary["ttft_ms"] = ToMilliseconds(*to_first_token_);
  summary["total_ms"] = ToMilliseconds(ended_.total);
  summary["steps"] = denoising_steps_;
  summary["forward_passes"] = ended_.forward_passes;
  return summary;
}

}  // namespace sdar
