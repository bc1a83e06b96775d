// SPDX-License-Identifier: Apache-2.0
// What a load run's records add up to.
#include "bench/load/load_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

CallRecord Completed(absl::Duration arrival) {
  CallRecord call;
  call.arrival = arrival;
  call.started = arrival + absl::Milliseconds(5);
  call.first_token = arrival + absl::Milliseconds(100);
  call.last_token = arrival + absl::Milliseconds(400);
  call.ended = arrival + absl::Milliseconds(410);
  call.gaps = {absl::Milliseconds(100), absl::Milliseconds(200)};
  call.first_tokens = 4;
  call.output_tokens = 10;
  call.usage.emplace();
  call.usage->set_prompt_tokens(64);
  call.usage->set_cached_tokens(48);
  call.usage->set_completion_tokens(10);
  call.usage->set_forward_passes(5);
  return call;
}

CallRecord Failed(absl::StatusCode code, bool cancelled) {
  CallRecord call;
  call.code = code;
  call.cancelled = cancelled;
  call.ended = absl::Seconds(1);
  return call;
}

LoadResult Result() {
  LoadResult result;
  result.elapsed = absl::Seconds(2);
  result.calls = {Completed(absl::ZeroDuration()),
                  Completed(absl::Seconds(1)),
                  Failed(absl::StatusCode::kCancelled, true),
                  Failed(absl::StatusCode::kCancelled, false),
                  Failed(absl::StatusCode::kDeadlineExceeded, false),
                  Failed(absl::StatusCode::kDeadlineExceeded, false)};
  result.unfinished = 3;
  result.model.set_model("sdar-tiny");
  result.model.set_ranks(2);
  return result;
}

TEST(PercentilesTest, TakesTheNearestRank) {
  std::vector<double> values;
  for (int i = 200; i >= 1; --i) values.push_back(i);
  const Percentiles p = PercentilesOf(values);
  EXPECT_EQ(p.count, 200);
  EXPECT_EQ(p.p50, 100);
  EXPECT_EQ(p.p90, 180);
  EXPECT_EQ(p.p99, 198);
  EXPECT_EQ(p.max, 200);
}

TEST(PercentilesTest, OneValueIsAllAndNoValueIsNone) {
  EXPECT_EQ(PercentilesOf({7}).p50, 7);
  EXPECT_EQ(PercentilesOf({7}).p99, 7);
  EXPECT_EQ(PercentilesOf({}).count, 0);
}

TEST(LoadReportTest, LatenciesCountFromTheIntendedArrival) {
  const LoadSummary summary = Summarize(Result());
  EXPECT_DOUBLE_EQ(summary.first_token_ms.p50, 100);
  EXPECT_DOUBLE_EQ(summary.end_to_end_ms.max, 410);
  EXPECT_DOUBLE_EQ(summary.late_ms.max, 5);
  EXPECT_DOUBLE_EQ(summary.per_token_ms.p50, 50);  // 300 ms for the 6 tokens after the first piece
  EXPECT_DOUBLE_EQ(summary.between_ms.max, 200);
  EXPECT_EQ(summary.between_ms.count, 4);
}

TEST(LoadReportTest, CountsWhatEndedHow) {
  const LoadSummary summary = Summarize(Result());
  EXPECT_EQ(summary.sent, 9);
  EXPECT_EQ(summary.completed, 2);
  EXPECT_EQ(summary.cancelled, 1);
  EXPECT_EQ(summary.unfinished, 3);
  EXPECT_THAT(summary.errors, ElementsAre(Pair("CANCELLED", 1), Pair("DEADLINE_EXCEEDED", 2)));
  EXPECT_DOUBLE_EQ(summary.requests_per_s, 1);
  EXPECT_DOUBLE_EQ(summary.tokens_per_s, 10);
  EXPECT_DOUBLE_EQ(summary.passes_per_token(), 0.5);
  EXPECT_EQ(summary.cached_tokens, 96);
}

TEST(LoadReportTest, MarkdownAndJsonHoldTheNumbers) {
  LoadOptions options;
  options.rate = 4;
  const LoadResult result = Result();
  const LoadSummary summary = Summarize(result);
  const std::string markdown = ToMarkdown(options, result, summary);
  EXPECT_THAT(markdown, HasSubstr("sdar-tiny on 2 rank(s)"));
  EXPECT_THAT(markdown, HasSubstr("open loop, 4 requests/s"));
  EXPECT_THAT(markdown, HasSubstr("| 2.0 | 9 | 2 | 1 | 3 | 3 | 1.00 | 10.0 | 0.500 | 75% | 0 |"));
  EXPECT_THAT(markdown, HasSubstr("| first token | 100.0 | 100.0 | 100.0 | 100.0 | 2 |"));
  EXPECT_THAT(markdown, HasSubstr("| DEADLINE_EXCEEDED | 2 |"));
  const Json json = ToJson(options, result, summary);
  EXPECT_EQ(json["first_token_ms"]["p99"].get<double>(), 100);
  EXPECT_EQ(json["errors"]["DEADLINE_EXCEEDED"].get<int>(), 2);
  EXPECT_EQ(json["passes_per_token"].get<double>(), 0.5);
}

TEST(LoadReportTest, ARunWithoutACallHasZeroesAndNoErrors) {
  const LoadResult empty;
  const LoadSummary summary = Summarize(empty);
  EXPECT_EQ(summary.requests_per_s, 0);
  EXPECT_THAT(ToMarkdown(LoadOptions(), empty, summary), Not(HasSubstr("| error |")));
}

}  // namespace
}  // namespace sdar
