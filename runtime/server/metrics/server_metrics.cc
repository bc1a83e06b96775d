// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/metrics/server_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "prometheus/text_serializer.h"
#include "runtime/server/metrics/metric_aliases.h"
#include "runtime/server/metrics/process_families.h"

namespace sdar {
namespace {

using prometheus::Labels;
using Bounds = prometheus::Histogram::BucketBoundaries;

// Seconds. vLLM's bounds, so that its dashboards' heat maps look as they do there; they go on
// downwards, since the small models of this family are faster.
Bounds FirstTokenBounds() {
  return {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
          1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
}
Bounds TokenTimeBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
          0.4,   0.5,    0.75,  1,    2.5,   5,    7.5,   10,  20,   40,  80};
}
Bounds RequestTimeBounds() {
  return {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1,   1.5, 2,   2.5,  5,
          10,    15,   20,   30,   40,  50,  60,  120, 240, 480, 600, 960, 1920, 7680};
}

// 1, 2, 5, 10, ... through the first that is not below `most`.
Bounds TokenCountBounds(int64_t most) {
  Bounds bounds;
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t digit : {1, 2, 5}) {
      bounds.push_back(static_cast<double>(digit * power));
      if (digit * power >= most) return bounds;
    }
  }
}

Bounds SampleBounds() { return {1, 2, 5, 10, 20, 50, 128}; }

// Below 1: most passes went to the prompt, or steps reveal fewer tokens than there are passes.
Bounds TokensPerPassBounds() { return {0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64}; }

Labels ReasonLabel(FinishedReason reason) { return {{"finished_reason", Name(reason)}}; }

// gRPC's spelling: NOT_FOUND.
Labels CodeLabel(absl::StatusCode code) { return {{"code", absl::StatusCodeToString(code)}}; }

}  // namespace

const char* Name(FinishedReason reason) {
  switch (reason) {
    case FinishedReason::kStop:
      return "stop";
    case FinishedReason::kLength:
      return "length";
    case FinishedReason::kAbort:
      return "abort";
    case FinishedReason::kTimeout:
      return "timeout";
    case FinishedReason::kError:
      break;
  }
  return "error";
}

ServerMetrics::ServerMetrics(const ServerMetricsOptions& options)
    : model_name_(options.model_name),
      load_phases_(prometheus::BuildGauge()
                       .Name("sdar_load_phase_seconds")
                       .Help("How long a part of the start took; ready is all of it.")
                       .Labels({{"model_name", model_name_}})
                       .Register(registry_)),
      requests_(CounterFamily("sdar_requests_total",
                              "Calls that are over: stop and length by themselves, abort by the "
                              "client, timeout at their deadline.")),
      refused_(CounterFamily("sdar_requests_refused_total",
                             "Calls that were refused before they were queued.")),
      prompt_tokens_(CounterFamily("sdar_prompt_tokens_total",
                                   "Prompt tokens of calls whose first tokens have come.")
                         .Add({})),
      generation_tokens_(
          CounterFamily("sdar_generation_tokens_total", "Tokens that were generated.").Add({})),
      scored_tokens_(
          CounterFamily("sdar_scored_tokens_total", "Given tokens that were scored.").Add({})),
      time_to_first_token_(AddHistogram("sdar_time_to_first_token_seconds",
                                        "From a call's arrival to its first tokens.",
                                        FirstTokenBounds())),
      inter_token_latency_(AddHistogram(
          "sdar_inter_token_latency_seconds",
          "Between two updates of a sample, each of one or more tokens.", TokenTimeBounds())),
      time_per_output_token_(AddHistogram(
          "sdar_request_time_per_output_token_seconds",
          "Mean time of a sample's tokens after the first, one a sample.", TokenTimeBounds())),
      latency_(AddHistogram("sdar_e2e_request_latency_seconds",
                            "From a call's arrival to its end, of those that ended by themselves.",
                            RequestTimeBounds())),
      queue_time_(AddHistogram("sdar_request_queue_time_seconds",
                               "From a call's arrival to its first slot.", RequestTimeBounds())),
      prefill_time_(AddHistogram("sdar_request_prefill_time_seconds",
                                 "From a call's first slot to its first tokens.",
                                 RequestTimeBounds())),
      decode_time_(AddHistogram("sdar_request_decode_time_seconds",
                                "From a call's first tokens to its last ones.",
                                RequestTimeBounds())),
      inference_time_(AddHistogram("sdar_request_inference_time_seconds",
                                   "From a call's first slot to its end.", RequestTimeBounds())),
      sizes_(AddSizes(options.max_sequence_length)) {
  AddConstants(options);
  AddZeros();
}

ServerMetrics::SizeHistograms ServerMetrics::AddSizes(int64_t max_sequence_length) {
  const Bounds tokens = TokenCountBounds(max_sequence_length);
  return {AddHistogram("sdar_request_prompt_tokens", "Prompt tokens of a call.", tokens),
          AddHistogram("sdar_request_generation_tokens",
                       "Generated tokens of a call, all samples together.", tokens),
          AddHistogram("sdar_tokens_per_forward_pass",
                       "Generated tokens of a call by its forward passes, the prompt's included.",
                       TokensPerPassBounds()),
          AddHistogram("sdar_request_max_num_generation_tokens",
                       "Generated tokens of the sample of a call that has most.", tokens),
          AddHistogram("sdar_request_params_max_tokens",
                       "Tokens that a sample of a call was to have at most.", tokens),
          AddHistogram("sdar_request_params_n", "Samples of a call.", SampleBounds())};
}

void ServerMetrics::AddZeros() {
  for (const FinishedReason reason :
       {FinishedReason::kStop, FinishedReason::kLength, FinishedReason::kAbort,
        FinishedReason::kTimeout, FinishedReason::kError}) {
    requests_.Add(ReasonLabel(reason));
  }
  for (const absl::StatusCode code :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound,
        absl::StatusCode::kAlreadyExists, absl::StatusCode::kResourceExhausted,
        absl::StatusCode::kUnavailable}) {
    refused_.Add(CodeLabel(code));
  }
}

prometheus::Family<prometheus::Counter>& ServerMetrics::CounterFamily(const std::string& name,
                                                                      const std::string& help) {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(help)
      .Labels({{"model_name", model_name_}})
      .Register(registry_);
}

prometheus::Histogram& ServerMetrics::AddHistogram(const std::string& name, const std::string& help,
                                                   const Bounds& bounds) {
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Labels({{"model_name", model_name_}})
      .Register(registry_)
      .Add({}, bounds);
}

void ServerMetrics::AddConstants(const ServerMetricsOptions& options) {
  prometheus::BuildGauge()
      .Name("sdar_info")
      .Help("What runs, as labels; always 1.")
      .Labels({{"model_name", model_name_}})
      .Register(registry_)
      .Add({{"version", options.version},
            {"backend", options.backend},
            {"dtype", options.dtype},
            {"ranks", absl::StrCat(options.ranks)},
            {"replicas", absl::StrCat(options.replicas)}})
      .Set(1);
  // As vLLM names and labels it, for routers that look after its pages.
  prometheus::BuildGauge()
      .Name("vllm:cache_config_info")
      .Help("The K/V memory of a replica, as labels; always 1.")
      .Labels({{"model_name", model_name_}})
      .Register(registry_)
      .Add({{"block_size", absl::StrCat(options.page_size)},
            {"num_gpu_blocks", absl::StrCat(options.num_pages)}})
      .Set(1);
  for (const auto& [phase, duration] : options.load_phases) {
    load_phases_.Add({{"phase", phase}}).Set(absl::ToDoubleSeconds(duration));
  }
}

void ServerMetrics::AddLoadPhase(const std::string& phase, absl::Duration duration) {
  for (const std::string& name : {phase, std::string("ready")}) {
    load_phases_.Add({{"phase", name}}).Increment(absl::ToDoubleSeconds(duration));
  }
}

void ServerMetrics::Refused(absl::StatusCode code) { refused_.Add(CodeLabel(code)).Increment(); }

void ServerMetrics::FirstTokens(int64_t prompt_tokens,
                                std::optional<absl::Duration> since_arrival) {
  prompt_tokens_.Increment(static_cast<double>(prompt_tokens));
  if (since_arrival) time_to_first_token_.Observe(absl::ToDoubleSeconds(*since_arrival));
}

void ServerMetrics::Tokens(int64_t count, std::optional<absl::Duration> since_last) {
  generation_tokens_.Increment(static_cast<double>(count));
  if (since_last) inter_token_latency_.Observe(absl::ToDoubleSeconds(*since_last));
}

void ServerMetrics::Scored(int64_t count) { scored_tokens_.Increment(static_cast<double>(count)); }

void ServerMetrics::Ended(const EndedCall& call) {
  requests_.Add(ReasonLabel(call.reason)).Increment();
  if (call.reason != FinishedReason::kStop && call.reason != FinishedReason::kLength) return;
  latency_.Observe(absl::ToDoubleSeconds(call.total));
  sizes_.prompt_tokens.Observe(static_cast<double>(call.prompt_tokens));
  if (call.queued) {
    queue_time_.Observe(absl::ToDoubleSeconds(*call.queued));
    inference_time_.Observe(absl::ToDoubleSeconds(call.total - *call.queued));
  }
  if (call.scores) return;
  if (call.prefill) prefill_time_.Observe(absl::ToDoubleSeconds(*call.prefill));
  if (call.decode) decode_time_.Observe(absl::ToDoubleSeconds(*call.decode));
  sizes_.longest_sample.Observe(static_cast<double>(call.longest));
  sizes_.max_tokens.Observe(static_cast<double>(call.max_tokens));
  sizes_.samples.Observe(static_cast<double>(call.samples));
  sizes_.generation_tokens.Observe(static_cast<double>(call.generation_tokens));
  for (const absl::Duration time : call.time_per_output_token) {
    time_per_output_token_.Observe(absl::ToDoubleSeconds(time));
  }
  if (call.forward_passes > 0) {
    sizes_.tokens_per_forward_pass.Observe(static_cast<double>(call.generation_tokens) /
                                           static_cast<double>(call.forward_passes));
  }
}

std::string ServerMetrics::Scrape(const JobView& view) const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (prometheus::MetricFamily& family : StatusFamilies(model_name_, view)) {
    families.push_back(std::move(family));
  }
  AddAliases(families);
  for (prometheus::MetricFamily& family : ProcessFamilies()) {
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace sdar
