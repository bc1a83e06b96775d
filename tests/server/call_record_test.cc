// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/call_record.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/server/metrics/scraped.h"

namespace sdar {
namespace {

class CallRecordTest : public ::testing::Test {
 protected:
  static SequenceUpdate Tokens(int count) {
    SequenceUpdate update;
    update.text = "secret";
    update.tokens.resize(static_cast<size_t>(count));
    return update;
  }
  SequenceUpdate End(int count, FinishReason reason) const {
    SequenceUpdate update = Tokens(count);
    update.end.emplace();
    update.end->reason = reason;
    update.end->usage.started = At(20);
    update.end->usage.denoising_steps = 6;
    update.end->usage.forward_passes = 8;
    update.end->usage.cached_tokens = 16;
    return update;
  }
  SteadyTime At(int ms) const { return arrival_ + absl::Milliseconds(ms); }
  std::string Scrape() const {
    JobView view;
    view.status.replicas.resize(1);
    return metrics_.Scrape(view);
  }

  const SteadyTime arrival_ = SteadyTime() + absl::Seconds(1000);
  ServerMetrics metrics_{ServerMetricsOptions()};
};

TEST_F(CallRecordTest, MeasuresACallFromItsArrival) {
  CallRecord record({arrival_, 17, 1, 64, false}, metrics_);
  record.Note(0, Tokens(4), At(50));
  record.Note(0, SequenceUpdate(), At(60));  // news without tokens
  record.Note(0, Tokens(4), At(80));
  record.Note(0, End(2, FinishReason::kStop), At(95));
  record.End(absl::OkStatus(), At(96));
  EXPECT_EQ(DumpJson(record.Summary()),
            R"({"prompt_tokens":17,"generated_tokens":10,"cached_tokens":16,)"
            R"("finish_reasons":["stop"],"queue_ms":20.0,"ttft_ms":50.0,"total_ms":96.0,)"
            R"("steps":6,"forward_passes":8})");
  const std::string text = Scrape();
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_generation_tokens_total"), 10);
  EXPECT_EQ(Scraped(text, "sdar_time_to_first_token_seconds_sum"), 0.05);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_count"), 2);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_sum"), 0.045);
  EXPECT_EQ(Scraped(text, "sdar_request_time_per_output_token_seconds_sum"), 0.005);
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_sum"), 0.096);
  EXPECT_EQ(Scraped(text, "sdar_request_queue_time_seconds_sum"), 0.02);
  EXPECT_EQ(Scraped(text, "sdar_tokens_per_forward_pass_sum"), 1.25);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"stop\""}), 1);
}

TEST_F(CallRecordTest, SamplesShareThePromptAndTheFirstToken) {
  CallRecord record({arrival_, 17, 2, 64, false}, metrics_);
  record.Note(1, Tokens(4), At(50));
  record.Note(0, Tokens(4), At(60));
  record.Note(0, End(0, FinishReason::kStop), At(70));
  record.Note(1, End(4, FinishReason::kLength), At(80));
  record.End(absl::OkStatus(), At(80));
  EXPECT_EQ(DumpJson(record.Summary()["finish_reasons"]), R"(["stop","length"])");
  const std::string text = Scrape();
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(Scraped(text, "sdar_inter_token_latency_seconds_count"), 1);
  EXPECT_EQ(Scraped(text, "sdar_request_time_per_output_token_seconds_count"), 2);
  EXPECT_EQ(Scraped(text, "sdar_request_generation_tokens_sum"), 12);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"length\""}), 1);
}

TEST_F(CallRecordTest, WhatIsScoredIsNotCountedAsGenerated) {
  CallRecord record({arrival_, 17, 1, 64, true}, metrics_);
  record.Note(0, Tokens(4), At(50));
  record.Note(0, End(2, FinishReason::kLength), At(95));
  record.End(absl::OkStatus(), At(96));
  EXPECT_EQ(DumpJson(record.Summary()),
            R"({"prompt_tokens":17,"generated_tokens":0,"cached_tokens":16,)"
            R"("finish_reasons":["length"],"scored_tokens":6,"queue_ms":20.0,"total_ms":96.0,)"
            R"("steps":6,"forward_passes":8})");
  const std::string text = Scrape();
  EXPECT_EQ(Scraped(text, "sdar_scored_tokens_total"), 6);
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_generation_tokens_total"), 0);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"length\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_sum"), 0.096);
  EXPECT_EQ(Scraped(text, "sdar_request_queue_time_seconds_sum"), 0.02);
  for (const char* generation :
       {"sdar_time_to_first_token_seconds_count", "sdar_inter_token_latency_seconds_count",
        "sdar_request_time_per_output_token_seconds_count", "sdar_tokens_per_forward_pass_count",
        "sdar_request_generation_tokens_count"}) {
    EXPECT_EQ(Scraped(text, generation), 0) << generation;
  }
}

TEST_F(CallRecordTest, AnEmptyAnswerHasAPromptToo) {
  CallRecord record({arrival_, 17, 1, 64, false}, metrics_);
  record.Note(0, End(0, FinishReason::kStop), At(50));
  record.End(absl::OkStatus(), At(50));
  const std::string text = Scrape();
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"), 17);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"stop\""}), 1);
}

TEST_F(CallRecordTest, FailuresAreCountedByTheirReasonAndNotMeasured) {
  const std::pair<absl::Status, const char*> cases[] = {
      {absl::CancelledError("cancelled by the client"), "abort"},
      {absl::DeadlineExceededError("late"), "timeout"},
      {absl::UnavailableError("a rank is gone"), "error"},
      {absl::ResourceExhaustedError("the client reads too slowly"), "error"}};
  for (const auto& [status, reason] : cases) {
    CallRecord record({arrival_, 17, 1, 64, false}, metrics_);
    record.Note(0, Tokens(4), At(50));
    record.End(status, At(60));
    const Json summary = record.Summary();
    EXPECT_EQ(summary["finish_reasons"][0], reason);
    EXPECT_EQ(summary["status"], absl::StatusCodeToString(status.code()));
    EXPECT_EQ(summary["generated_tokens"], 4);
    EXPECT_FALSE(summary.contains("queue_ms"));
  }
  const std::string text = Scrape();
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"abort\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"timeout\""}), 1);
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"error\""}), 2);
  EXPECT_EQ(Scraped(text, "sdar_e2e_request_latency_seconds_count"), 0);
  EXPECT_EQ(Scraped(text, "sdar_generation_tokens_total"), 16);
}

}  // namespace
}  // namespace sdar
