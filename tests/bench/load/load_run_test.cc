// SPDX-License-Identifier: Apache-2.0
// Load runs against a service in this process.
#include "bench/load/load_run.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "bench/load/load_report.h"
#include "tests/fakes/fake_generation_service.h"

namespace sdar {
namespace {

sdar::v1::GenerateResponse Tokens(int count) {
  sdar::v1::GenerateResponse response;
  for (int i = 0; i < count; ++i) response.mutable_delta()->add_token_ids(1);
  return response;
}

// Answers every call with 3 + 2 tokens.
void Prepare(FakeGenerationService& service) {
  sdar::v1::GenerateResponse finished;
  finished.mutable_finished()->mutable_usage()->set_completion_tokens(5);
  finished.mutable_finished()->mutable_usage()->set_forward_passes(2);
  service.script = {Tokens(3), Tokens(2), finished};
  service.model.set_vocab_size(1000);
  service.model.set_mask_token_id(999);
  service.model.set_max_sequence_length(1000);
  service.Start();
}

LoadOptions Options(const FakeGenerationService& service) {
  LoadOptions options;
  options.server = service.address();
  return options;
}

void Ignore(const LoadRun::Progress&) {}

TEST(LoadRunTest, AnOpenLoopSendsAllRequestsAndTimesThem) {
  FakeGenerationService service;
  Prepare(service);
  LoadOptions options = Options(service);
  options.rate = 500;
  options.requests = 40;
  const auto result = LoadRun(options).Run(Ignore);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->calls.size(), 40u);
  for (const CallRecord& call : result->calls) {
    EXPECT_EQ(call.code, absl::StatusCode::kOk) << call.message;
    EXPECT_EQ(call.output_tokens, 5);
    EXPECT_GE(call.started, call.arrival);
    ASSERT_TRUE(call.first_token.has_value());
    EXPECT_GE(*call.first_token, call.started);
    EXPECT_GE(call.ended, call.last_token);
  }
  EXPECT_DOUBLE_EQ(Summarize(*result).passes_per_token(), 0.4);
}

TEST(LoadRunTest, AClosedLoopSendsTheNextWhenACallEnds) {
  FakeGenerationService service;
  Prepare(service);
  LoadOptions options = Options(service);
  options.clients = 3;
  options.requests = 30;
  int64_t most_open = 0;
  const auto result = LoadRun(options).Run(
      [&](const LoadRun::Progress& progress) { most_open = std::max(most_open, progress.open); });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->calls.size(), 30u);
  EXPECT_LE(most_open, 3);
}

TEST(LoadRunTest, AnOpenLoopDoesNotWaitForASlowServerAndStopEndsItsCalls) {
  FakeGenerationService service;
  Prepare(service);
  service.waits_for_cancel = true;  // no call ever ends by itself
  LoadOptions options = Options(service);
  options.rate = 2000;
  options.requests = 20;
  LoadRun run(options);
  std::thread stopper([&] {
    EXPECT_TRUE(service.WaitForCalls(20));
    run.Stop();
  });
  const auto result = run.Run(Ignore);
  stopper.join();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->unfinished, 20);
  EXPECT_TRUE(result->calls.empty());
}

TEST(LoadRunTest, CancelledCallsEndAsCancelledOnPurpose) {
  FakeGenerationService service;
  Prepare(service);
  service.waits_for_cancel = true;
  LoadOptions options = Options(service);
  options.clients = 4;
  options.requests = 8;
  options.cancel_fraction = 1;
  options.output_tokens = "fixed:5";
  const auto result = LoadRun(options).Run(Ignore);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Summarize(*result).cancelled, 8);
}

TEST(LoadRunTest, ErrorsAreCountedByTheirCode) {
  FakeGenerationService service;
  Prepare(service);
  service.end = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
  LoadOptions options = Options(service);
  options.clients = 2;
  options.requests = 6;
  const auto result = LoadRun(options).Run(Ignore);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Summarize(*result).errors.at("RESOURCE_EXHAUSTED"), 6);
}

TEST(LoadRunTest, ADeadlineEndsCallsThatTakeLonger) {
  FakeGenerationService service;
  Prepare(service);
  service.waits_for_cancel = true;
  LoadOptions options = Options(service);
  options.clients = 1;
  options.requests = 1;
  options.timeout_seconds = 0.05;
  const auto result = LoadRun(options).Run(Ignore);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Summarize(*result).errors.at("DEADLINE_EXCEEDED"), 1);
}

TEST(LoadRunTest, AServerThatIsNotThereIsOneClearError) {
  LoadOptions options;
  options.server = "127.0.0.1:1";
  options.clients = 1;
  options.requests = 1;
  const auto result = LoadRun(options).Run(Ignore);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), testing::HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace sdar
