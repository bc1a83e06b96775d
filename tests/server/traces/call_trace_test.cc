// SPDX-License-Identifier: Apache-2.0
// Which spans a call becomes.
#include "runtime/server/traces/call_trace.h"

#include <algorithm>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kUnixNs = 1'700'000'000'000'000'000;

class CallTraceTest : public ::testing::Test {
 protected:
  CallTrace::Call CallOf() const {
    CallTrace::Call call;
    call.parent = {"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", true};
    call.request_id = "mine";
    call.model = "tiny";
    call.arrival = arrival_;
    call.prompt_tokens = 6;
    call.block_length = 4;
    return call;
  }
  SteadyTime At(int ms) const { return arrival_ + absl::Milliseconds(ms); }
  SequenceUpdate Tokens(int count, int step) const {
    SequenceUpdate update;
    update.tokens.resize(static_cast<size_t>(count));
    for (RevealedToken& token : update.tokens) token.step = step;
    return update;
  }
  SequenceUpdate End(int count) const {
    SequenceUpdate update = Tokens(count, 0);
    update.end.emplace();
    update.end->usage.started = At(10);
    update.end->usage.first_step = At(30);
    update.end->usage.denoising_steps = 5;
    update.end->usage.forward_passes = 4;
    update.end->usage.cached_tokens = 2;
    return update;
  }
  std::vector<Span> SpansOf(const CallTrace& trace, int ms) const {
    return trace.Spans(At(ms), kUnixNs + absl::ToInt64Nanoseconds(absl::Milliseconds(ms)));
  }
  // Milliseconds after the arrival, which is kUnixNs.
  static int64_t Ms(int64_t unix_ns) { return (unix_ns - kUnixNs) / 1'000'000; }

  const SteadyTime arrival_ = SteadyTime() + absl::Seconds(1000);
};

TEST_F(CallTraceTest, ACallIsItsQueuePrefillBlocksAndDelivery) {
  CallTrace trace(CallOf());
  trace.Note(0, Tokens(2, 1), At(40));  // the rest of block 1
  trace.Note(0, Tokens(3, 0), At(50));
  trace.Note(0, Tokens(1, 2), At(60));  // block 2
  trace.Note(0, End(1), At(70));        // of block 3
  trace.End(absl::OkStatus());
  const std::vector<Span> spans = SpansOf(trace, 90);
  std::vector<std::string> names;
  std::vector<std::pair<int64_t, int64_t>> times;
  for (const Span& span : spans) {
    names.push_back(span.name);
    times.emplace_back(Ms(span.start_ns), Ms(span.end_ns));
    EXPECT_EQ(span.trace_id, "0af7651916cd43dd8448eb211c80319c");
  }
  EXPECT_THAT(names,
              ElementsAre("generate", "queue", "prefill", "block", "block", "block", "delivery"));
  using Times = std::pair<int64_t, int64_t>;
  EXPECT_THAT(times, ElementsAre(Times{0, 90}, Times{0, 10}, Times{10, 30}, Times{30, 40},
                                 Times{40, 60}, Times{60, 70}, Times{70, 90}));
  EXPECT_EQ(spans[0].parent_id, "b7ad6b7169203331");
  EXPECT_EQ(spans[0].kind, Span::Kind::kServer);
  std::set<std::string> ids;
  for (const Span& span : spans) {
    ids.insert(span.span_id);
  }
  for (size_t i = 1; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].parent_id, spans[0].span_id);
  }
  EXPECT_EQ(ids.size(), spans.size());
  EXPECT_EQ(spans[3].attributes["sdar.block"], 1);
  EXPECT_EQ(spans[3].attributes["sdar.tokens"], 2);
  EXPECT_EQ(spans[4].attributes["sdar.block"], 2);
  EXPECT_EQ(spans[4].attributes["sdar.denoising_steps"], 3);
  EXPECT_EQ(spans[0].attributes["gen_ai.usage.output_tokens"], 7);
  EXPECT_EQ(spans[0].attributes["sdar.forward_passes"], 4);
}

TEST_F(CallTraceTest, WithoutAParentATraceBegins) {
  CallTrace::Call call = CallOf();
  call.parent = {};
  const CallTrace trace(call);
  EXPECT_EQ(trace.trace_id().size(), 32u);
  const std::vector<Span> spans = SpansOf(trace, 5);
  ASSERT_EQ(spans.size(), 1u);  // it never had a slot
  EXPECT_EQ(spans[0].parent_id, "");
  EXPECT_EQ(spans[0].trace_id, trace.trace_id());
}

TEST_F(CallTraceTest, AFailureIsTheRootsError) {
  CallTrace trace(CallOf());
  trace.End(absl::CancelledError("cancelled by the client"));
  EXPECT_EQ(SpansOf(trace, 5)[0].error, "cancelled by the client");
}

TEST_F(CallTraceTest, BlocksOfAVeryLongAnswerAreCounted) {
  CallTrace trace(CallOf());
  for (int i = 0; i < 300; ++i) trace.Note(0, Tokens(4, 0), At(40 + i));
  trace.Note(0, End(0), At(400));
  const std::vector<Span> spans = SpansOf(trace, 500);
  EXPECT_EQ(std::count_if(spans.begin(), spans.end(),
                          [](const Span& span) { return span.name == "block"; }),
            256);
  EXPECT_EQ(spans[0].attributes["sdar.blocks_left_out"], 45);
}

TEST_F(CallTraceTest, ScoresHaveNoBlocks) {
  CallTrace::Call call = CallOf();
  call.scores = true;
  CallTrace trace(call);
  trace.Note(0, End(5), At(70));
  const std::vector<Span> spans = SpansOf(trace, 90);
  EXPECT_EQ(spans[0].name, "score");
  EXPECT_EQ(spans[0].attributes["sdar.scored_tokens"], 5);
  EXPECT_TRUE(std::none_of(spans.begin(), spans.end(),
                           [](const Span& span) { return span.name == "block"; }));
}

TEST(SpanTest, IsWrittenAsOtlpHasIt) {
  Span span;
  span.trace_id = "t";
  span.span_id = "s";
  span.name = "queue";
  span.start_ns = kUnixNs;
  span.end_ns = kUnixNs + 1;
  span.attributes = {{"a", "x"}, {"b", 2}, {"c", 0.5}, {"d", true}};
  span.error = "why";
  const Json body = OtlpBody({span}, {{"service.name", "sdar"}});
  const Json& resource = body["resourceSpans"][0];
  EXPECT_EQ(resource["resource"]["attributes"][0],
            (Json{{"key", "service.name"}, {"value", {{"stringValue", "sdar"}}}}));
  const Json& out = resource["scopeSpans"][0]["spans"][0];
  EXPECT_EQ(out["startTimeUnixNano"], "1700000000000000000");
  EXPECT_EQ(out["attributes"][1]["value"], (Json{{"intValue", "2"}}));
  EXPECT_EQ(out["attributes"][2]["value"], (Json{{"doubleValue", 0.5}}));
  EXPECT_EQ(out["attributes"][3]["value"], (Json{{"boolValue", true}}));
  EXPECT_EQ(out["status"], (Json{{"code", 2}, {"message", "why"}}));
  EXPECT_FALSE(out.contains("parentSpanId"));
}

}  // namespace
}  // namespace sdar
