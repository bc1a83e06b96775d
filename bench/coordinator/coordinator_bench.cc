// SPDX-License-Identifier: Apache-2.0
#include "bench/coordinator/coordinator_bench.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

using sdar::v1::StepPlan;

constexpr size_t kMadeUpSummaries = 4096;
constexpr size_t kMemoryWords = size_t{2} << 20;  // 16 MiB

class Stopwatch {
 public:
  // Microseconds since the last call.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::micro>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

SchedulerConfig ConfigOf(const CoordinatorOptions& options) {
  SchedulerConfig config;
  config.max_sequences = static_cast<int>(options.sequences);
  config.max_batch_rows = 2 * options.sequences * options.block_length;
  const int64_t positions = options.prompt_tokens + options.output_tokens;
  // The prefix cache keeps what has ended: room for that, as a job would have, and evictions.
  config.num_pages = 2 * options.sequences * (positions / config.page_size + 1);
  return config;
}

RouterConfig RouterConfigOf(const CoordinatorOptions& options, const SchedulerConfig& scheduler) {
  RouterConfig config;
  config.limits = {options.vocabulary, options.prompt_tokens + options.output_tokens,
                   scheduler.page_size, scheduler.num_pages, scheduler.max_batch_rows};
  config.slots = scheduler.max_sequences;
  return config;
}

// One token has `confidence`, 63 share half of the rest, and the other ids the other half.
LogitSummary SummaryOf(double confidence, int64_t vocabulary, std::mt19937_64& random) {
  LogitSummary summary;
  summary.max = 0;
  summary.sum_exp = summary.allowed_sum_exp = 1 / confidence;
  summary.num_allowed = static_cast<int32_t>(vocabulary);
  summary.num_candidates = kMaxCandidates;
  double weight = std::min(1.0, (1 / confidence - 1) / 8);
  for (Candidate& candidate : summary.candidates) {
    candidate.id = static_cast<TokenId>(random() % static_cast<uint64_t>(vocabulary));
    if (&candidate == &summary.candidates[0]) {
      candidate.z = 0;
      continue;
    }
    candidate.z = static_cast<float>(std::log(weight));
    summary.sum_weighted += std::log(weight) * weight;
    weight *= 7.0 / 8;
  }
  return summary;
}

absl::Status InRange(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

}  // namespace

absl::Status CoordinatorOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(InRange("sequences", sequences, 1, 4096));
  SDAR_RETURN_IF_ERROR(InRange("vocabulary", vocabulary, kMaxCandidates, 1 << 24));
  SDAR_RETURN_IF_ERROR(InRange("block-length", block_length, 1, 64));
  SDAR_RETURN_IF_ERROR(InRange("prompt-tokens", prompt_tokens, 1, 1 << 16));
  SDAR_RETURN_IF_ERROR(InRange("output-tokens", output_tokens, 1, 1 << 16));
  return InRange("steps", steps, 10, 1000000);
}

CoordinatorBench::CoordinatorBench(const CoordinatorOptions& options,
                                   const SamplingOptions& sampling, bool cold_caches,
                                   const Tokenizer& tokenizer, Communicator& communicator)
    : options_(options),
      sampling_(sampling),
      tokenizer_(tokenizer),
      communicator_(communicator),
      channel_(communicator, nullptr, nullptr),
      scheduler_(ConfigOf(options)),
      memory_(cold_caches ? kMemoryWords : 1, 1),
      router_(RouterConfigOf(options, scheduler_.config()),
              {{[this](std::vector<Submission> samples) { return Take(std::move(samples)); },
                [](SequenceId, const absl::Status&) {}, [] { return EngineStatus(); }}}) {
  MakeSummaries();
}

void CoordinatorBench::MakeSummaries() {
  std::uniform_real_distribution<double> confidence(0.2, 1);
  const int64_t ids = std::min<int64_t>(options_.vocabulary, tokenizer_.vocab_limit());
  for (size_t i = 0; i < kMadeUpSummaries; ++i) {
    made_up_.push_back(SummaryOf(confidence(random_), ids, random_));
    made_up_.back().num_allowed = static_cast<int32_t>(options_.vocabulary);
  }
}

absl::StatusOr<std::vector<SequenceId>> CoordinatorBench::Take(std::vector<Submission> samples) {
  std::vector<SequenceId> ids;
  for (Submission& sample : samples) {
    ids.emplace_back(++next_id_);
    scheduler_.Add(std::make_unique<Sequence>(ids.back(), std::move(sample.request),
                                              std::move(sample.callback), tokenizer_,
                                              static_cast<TokenId>(options_.vocabulary - 1)));
  }
  return ids;
}

// Submits a request for each that has ended.
absl::Status CoordinatorBench::KeepRunning() {
  while (scheduler_.num_running() + scheduler_.num_waiting() < options_.sequences) {
    GenerationRequest request;
    for (int64_t i = 0; i < options_.prompt_tokens; ++i) {
      request.prompt.push_back(static_cast<TokenId>(random_() % 256));
    }
    request.sampling = sampling_;
    request.sampling.seed = random_();
    request.remasking.block_length = static_cast<int>(options_.block_length);
    request.remasking.denoising_steps = request.remasking.block_length;
    request.stopping.max_tokens = options_.output_tokens;
    std::vector<Submission> one;
    one.push_back({std::move(request), delivery_.Later([this](const SequenceUpdate& update) {
                     delivered_tokens_ += static_cast<int64_t>(update.tokens.size());
                   })});
    SDAR_RETURN_IF_ERROR(router_.Submit(std::move(one)).status());
  }
  return absl::OkStatus();
}

absl::Status CoordinatorBench::Send(const StepPlan& plan, CoordinatorStep& times) {
  Stopwatch watch;
  times.plan_bytes = static_cast<int64_t>(plan.SerializeAsString().size());
  times.encode = watch.Lap();
  SDAR_RETURN_IF_ERROR(channel_.Send(plan));
  times.send = watch.Lap();
  SDAR_RETURN_IF_ERROR(communicator_.Barrier());
  times.arrived = times.send + watch.Lap();
  return absl::OkStatus();
}

void CoordinatorBench::StandInForForward(int64_t rows) {
  for (uint64_t word : memory_) sum_ += word;
  memory_[random_() % memory_.size()] = sum_;
  summaries_.clear();
  for (int64_t row = 0; row < rows; ++row) {
    summaries_.push_back(made_up_[random_() % made_up_.size()]);
  }
}

absl::StatusOr<CoordinatorStep> CoordinatorBench::Step() {
  CoordinatorStep times;
  Stopwatch watch;
  plan_.Clear();
  plan_.set_kind(StepPlan::FORWARD);
  scheduler_.FillPlan(plan_);
  times.schedule = watch.Lap();
  SDAR_RETURN_IF_ERROR(Send(plan_, times));
  for (const sdar::v1::Segment& segment : plan_.segments()) {
    for (char byte : segment.masked()) {
      times.rows += __builtin_popcount(static_cast<unsigned char>(byte));
    }
  }
  StandInForForward(times.rows);
  watch.Lap();
  SDAR_CHECK(scheduler_.RowsToResolve(summaries_).empty());
  scheduler_.Apply(summaries_, {});
  times.choose = watch.Lap();
  return times;
}

absl::StatusOr<std::vector<CoordinatorStep>> CoordinatorBench::Run() {
  std::vector<CoordinatorStep> steps;
  for (int64_t i = -options_.steps / 10; i < options_.steps; ++i) {
    SDAR_RETURN_IF_ERROR(KeepRunning());
    SDAR_ASSIGN_OR_RETURN(const CoordinatorStep step, Step());
    if (i >= 0) steps.push_back(step);
  }
  scheduler_.CancelAll(absl::CancelledError("the benchmark is over"));
  router_.Stop(absl::CancelledError("the benchmark is over"));
  return steps;
}

absl::Status ReceivePlans(Communicator& communicator) {
  StepChannel channel(communicator, nullptr, nullptr);
  while (true) {
    SDAR_ASSIGN_OR_RETURN(const StepPlan plan, channel.Receive());
    SDAR_RETURN_IF_ERROR(communicator.Barrier());
    if (plan.kind() == StepPlan::SHUTDOWN) return absl::OkStatus();
  }
}

absl::Status SendShutdown(Communicator& communicator) {
  StepPlan plan;
  plan.set_kind(StepPlan::SHUTDOWN);
  SDAR_RETURN_IF_ERROR(StepChannel(communicator, nullptr, nullptr).Send(plan));
  return communicator.Barrier();
}

}  // namespace sdar
