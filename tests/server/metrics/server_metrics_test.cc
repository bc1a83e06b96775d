// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/metrics/server_metrics.h"

#include <set>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/metrics/scraped.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

ServerMetricsOptions TinyOptions() {
  ServerMetricsOptions options;
  options.model_name = "tiny \"quoted\"";
  options.version = "1.2.3";
  options.backend = "cpu";
  options.dtype = "bfloat16";
  options.ranks = 2;
  options.max_sequence_length = 2048;
  options.load_phases = {{"weights", absl::Milliseconds(1500)}, {"ready", absl::Seconds(2)}};
  return options;
}

// Two replicas of one rank each.
JobView SomeView() {
  JobView view;
  view.now = SteadyTime() + absl::Seconds(1000);
  view.ranks = {{5, view.now, {}}, {4, view.now - absl::Milliseconds(250), {}}};
  for (int r = 0; r < 2; ++r) {
    EngineStatus replica;
    replica.running = 1 + r;
    replica.total_slots = 4;
    replica.free_slots = 3 - r;
    replica.total_pages = 10;
    replica.free_pages = 6;
    replica.cached_pages = 3;
    replica.finished_steps = 7;
    replica.preemptions = 2;
    replica.steps.forward_passes = 6;
    replica.steps.rows = 60;
    replica.steps.drafts = 7;
    replica.steps.draft_rows = 28;
    replica.steps.accepted_drafts = 3;
    replica.step_age = absl::Milliseconds(500 * r);
    for (const int steps : {1, 3, 100}) replica.steps.steps_per_block.Add(steps);
    view.status.replicas.push_back(replica);
  }
  view.dropped_log_lines = 17;
  view.status.total.running = 3;
  view.status.total.waiting = 9;
  view.status.total.total_pages = 20;
  view.status.total.free_pages = 12;
  return view;
}

// The names of the families, each of which must come once.
std::set<std::string> FamiliesOf(const std::string& text) {
  std::set<std::string> names;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "# TYPE ")) continue;
    const std::string name(line.substr(0, line.find(' ')));
    EXPECT_TRUE(names.insert(name).second) << name << " comes twice";
  }
  return names;
}

TEST(ServerMetricsTest, WhatHasNotHappenedIsThereAsZero) {
  const ServerMetrics metrics(TinyOptions());
  const std::string text = metrics.Scrape(SomeView());
  for (const char* reason : {"stop", "length", "abort", "timeout", "error"}) {
    const std::string label = absl::StrCat("finished_reason=\"", reason, "\"");
    EXPECT_EQ(Scraped(text, "sdar_requests_total", {label}), 0);
    EXPECT_EQ(Scraped(text, "vllm:request_success_total", {label}), 0);
  }
  EXPECT_EQ(Scraped(text, "sdar_requests_refused_total", {"code=\"RESOURCE_EXHAUSTED\""}), 0);
  EXPECT_EQ(Scraped(text, "sdar_time_to_first_token_seconds_count"), 0);
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 0);
}

TEST(ServerMetricsTest, SaysWhatRunsAndHowItStarted) {
  const ServerMetrics metrics(TinyOptions());
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_info",
                    {R"(version="1.2.3")", R"(ranks="2")", R"(model_name="tiny \"quoted\"")"}),
            1);
  EXPECT_EQ(Scraped(text, "sdar_load_phase_seconds", {R"(phase="weights")"}), 1.5);
  EXPECT_EQ(Scraped(text, "sdar_load_phase_seconds", {R"(phase="ready")"}), 2);
}

TEST(ServerMetricsTest, ALaterPartOfTheStartCountsAsPartOfIt) {
  ServerMetrics metrics(TinyOptions());
  metrics.AddLoadPhase("warm_up", absl::Milliseconds(500));
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_load_phase_seconds", {R"(phase="warm_up")"}), 0.5);
  EXPECT_EQ(Scraped(text, "sdar_load_phase_seconds", {R"(phase="ready")"}), 2.5);
}

TEST(ServerMetricsTest, SaysOfTheProcessWhatPrometheusLibrariesDo) {
  const std::string text = ServerMetrics(TinyOptions()).Scrape(SomeView());
  EXPECT_GE(Scraped(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(Scraped(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(Scraped(text, "process_virtual_memory_bytes"),
            Scraped(text, "process_resident_memory_bytes"));
  EXPECT_GE(Scraped(text, "process_open_fds"), 3);
  EXPECT_GE(Scraped(text, "process_max_fds"), Scraped(text, "process_open_fds"));
  EXPECT_GE(Scraped(text, "process_threads"), 1);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(Scraped(text, "process_start_time_seconds"), now + 2);
  EXPECT_GT(Scraped(text, "process_start_time_seconds"), now - 3600);
}

TEST(ServerMetricsTest, AnswersOfMillisecondsHaveBucketsOfTheirOwn) {
  ServerMetrics metrics(TinyOptions());
  EndedCall call;
  call.reason = FinishedReason::kStop;
  call.total = absl::Milliseconds(7);
  call.queued = absl::Milliseconds(1);
  call.prefill = absl::Milliseconds(2);
  call.decode = absl::Milliseconds(3);
  call.samples = 2;
  call.max_tokens = 100;
  call.longest = 9;
  metrics.Ended(call);
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_bucket", {R"(le="0.005")"}), 0);
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_bucket", {R"(le="0.01")"}), 1);
  EXPECT_EQ(Scraped(text, "vllm:request_prefill_time_seconds_sum"), 0.002);
  EXPECT_EQ(Scraped(text, "vllm:request_decode_time_seconds_sum"), 0.003);
  EXPECT_EQ(Scraped(text, "vllm:request_inference_time_seconds_sum"), 0.006);
  EXPECT_EQ(Scraped(text, "vllm:request_params_n_sum"), 2);
  EXPECT_EQ(Scraped(text, "vllm:request_params_max_tokens_sum"), 100);
  EXPECT_EQ(Scraped(text, "vllm:request_max_num_generation_tokens_sum"), 9);
}

TEST(ServerMetricsTest, ReadsTheMomentFromTheStatus) {
  const ServerMetrics metrics(TinyOptions());
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_requests_running"), 3);
  EXPECT_EQ(Scraped(text, "sdar_requests_waiting"), 9);
  EXPECT_EQ(Scraped(text, "sdar_kv_usage_ratio"), 0.4);
  EXPECT_EQ(Scraped(text, "sdar_log_lines_dropped_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_kv_pages", {R"(replica="1")", R"(state="used")"}), 4);
  EXPECT_EQ(Scraped(text, "sdar_slots", {R"(replica="1")", R"(state="used")"}), 2);
  EXPECT_EQ(Scraped(text, "sdar_step_age_seconds", {R"(replica="1")"}), 0.5);
  EXPECT_EQ(Scraped(text, "sdar_rank_heartbeat_age_seconds", {R"(rank="0")"}), 0);
  EXPECT_EQ(Scraped(text, "sdar_rank_heartbeat_age_seconds", {R"(rank="1")"}), 0.25);
  EXPECT_EQ(Scraped(text, "sdar_forward_passes_total", {R"(replica="0")"}), 6);
  EXPECT_EQ(Scraped(text, "sdar_forward_pass_rows_total", {R"(replica="0")"}), 60);
  EXPECT_EQ(Scraped(text, "sdar_drafts_total", {R"(replica="0")"}), 7);
  EXPECT_EQ(Scraped(text, "sdar_draft_rows_total", {R"(replica="0")"}), 28);
  EXPECT_EQ(Scraped(text, "sdar_drafts_accepted_total", {R"(replica="0")"}), 3);
  EXPECT_EQ(Scraped(text, "sdar_preemptions_total", {R"(replica="0")"}), 2);
  EXPECT_EQ(Scraped(text, "sdar_healthy"), 1);
}

TEST(ServerMetricsTest, TheEnginesHistogramsAreCumulative) {
  const ServerMetrics metrics(TinyOptions());
  const std::string text = metrics.Scrape(SomeView());
  const std::string name = "sdar_denoising_steps_per_block";
  EXPECT_EQ(Scraped(text, name + "_bucket", {R"(replica="1")", R"(le="1")"}), 1);
  EXPECT_EQ(Scraped(text, name + "_bucket", {R"(replica="1")", R"(le="3")"}), 2);
  EXPECT_EQ(Scraped(text, name + "_bucket", {R"(replica="1")", R"(le="64")"}), 2);
  EXPECT_EQ(Scraped(text, name + "_bucket", {R"(replica="1")", R"(le="+Inf")"}), 3);
  EXPECT_EQ(Scraped(text, name + "_count", {R"(replica="1")"}), 3);
  EXPECT_EQ(Scraped(text, name + "_sum", {R"(replica="1")"}), 104);
  EXPECT_EQ(Scraped(text, "sdar_blocks_total", {R"(replica="1")"}), 3);
}

TEST(ServerMetricsTest, CountsCallsAsTheyGo) {
  ServerMetrics metrics(TinyOptions());
  metrics.FirstTokens(17, absl::Milliseconds(30));
  metrics.Tokens(4, std::nullopt);
  metrics.Tokens(3, absl::Milliseconds(10));  // a bound: it belongs to that bucket
  metrics.Refused(absl::StatusCode::kResourceExhausted);
  metrics.Refused(absl::StatusCode::kInternal);
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_generation_tokens_total"), 7);
  EXPECT_EQ(Scraped(text, "sdar_time_to_first_token_seconds_sum"), 0.03);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_count"), 1);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_bucket", {R"(le="0.01")"}), 1);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_bucket", {R"(le="0.005")"}), 0);
  EXPECT_EQ(Scraped(text, "sdar_requests_refused_total", {"code=\"RESOURCE_EXHAUSTED\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_requests_refused_total", {"code=\"INTERNAL\""}), 1);
}

TEST(ServerMetricsTest, OnlyCallsThatEndedByThemselvesAreMeasured) {
  ServerMetrics metrics(TinyOptions());
  EndedCall call;
  call.reason = FinishedReason::kStop;
  call.prompt_tokens = 17;
  call.generation_tokens = 12;
  call.forward_passes = 4;
  call.total = absl::Seconds(1);
  call.queued = absl::Milliseconds(100);
  call.time_per_output_token = {absl::Milliseconds(20), absl::Milliseconds(40)};
  metrics.Ended(call);
  call.reason = FinishedReason::kAbort;
  metrics.Ended(call);
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"stop\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"abort\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_count"), 1);
  EXPECT_EQ(Scraped(text, "sdar_request_queue_time_seconds_sum"), 0.1);
  EXPECT_EQ(Scraped(text, "sdar_request_time_per_output_token_seconds_count"), 2);
  EXPECT_EQ(Scraped(text, "sdar_request_prompt_tokens_sum"), 17);
  EXPECT_EQ(Scraped(text, "sdar_request_generation_tokens_sum"), 12);
  EXPECT_EQ(Scraped(text, "sdar_tokens_per_forward_pass_sum"), 3);
}

TEST(ServerMetricsTest, TokenBucketsReachTheLongestSequenceInOnesTwosAndFives) {
  const ServerMetrics metrics(TinyOptions());
  const std::string text = metrics.Scrape(SomeView());
  for (const char* bound : {"1", "2", "5", "10", "1000", "2000", "5000", "+Inf"}) {
    EXPECT_TRUE(
        Scraped(text, "sdar_request_prompt_tokens_bucket", {absl::StrCat("le=\"", bound, "\"")}))
        << bound;
  }
  EXPECT_FALSE(Scraped(text, "sdar_request_prompt_tokens_bucket", {"le=\"10000\""}));
}

TEST(ServerMetricsTest, AliasesHaveTheValuesOfWhatTheyStandFor) {
  ServerMetrics metrics(TinyOptions());
  metrics.FirstTokens(17, absl::Milliseconds(30));
  const std::string text = metrics.Scrape(SomeView());
  EXPECT_EQ(Scraped(text, "vllm:num_requests_running"), 3);
  EXPECT_EQ(Scraped(text, "vllm:num_requests_waiting"), 9);
  EXPECT_EQ(Scraped(text, "vllm:kv_cache_usage_perc"), 0.4);
  EXPECT_EQ(Scraped(text, "vllm:gpu_cache_usage_perc"), 0.4);
  EXPECT_EQ(Scraped(text, "vllm:prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "vllm:time_to_first_token_seconds_count"), 1);
  const std::set<std::string> families = FamiliesOf(text);
  for (const char* name :
       {"vllm:generation_tokens_total", "vllm:request_success_total", "vllm:num_preemptions_total",
        "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
        "vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds",
        "vllm:request_time_per_output_token_seconds", "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds", "vllm:request_prompt_tokens",
        "vllm:request_generation_tokens"}) {
    EXPECT_EQ(families.count(name), 1u) << name;
  }
  EXPECT_THAT(text, HasSubstr("# TYPE vllm:time_to_first_token_seconds histogram"));
}

}  // namespace
}  // namespace sdar
