// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_call.h"

#include <csignal>

#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include <unistd.h>

#include "launcher/client/client_report.h"
#include "tests/fakes/fake_generation_service.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Finished;
using sdar::v1::GenerateRequest;
using sdar::v1::GenerateResponse;
using sdar::v1::GenerationService;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

GenerateResponse DeltaOf(uint32_t index, const std::string& text, uint32_t id) {
  GenerateResponse response;
  response.set_request_id("r1");
  response.mutable_delta()->set_index(index);
  response.mutable_delta()->set_text(text);
  response.mutable_delta()->add_token_ids(id);
  return response;
}

GenerateResponse FinishedOf(uint32_t index, uint32_t tokens, uint32_t steps) {
  GenerateResponse response;
  response.set_request_id("r1");
  Finished& finished = *response.mutable_finished();
  finished.set_index(index);
  finished.set_reason(Finished::STOP);
  finished.set_stop_token_id(958);
  finished.mutable_usage()->set_prompt_tokens(3);
  finished.mutable_usage()->set_completion_tokens(tokens);
  finished.mutable_usage()->set_denoising_steps(steps);
  finished.mutable_usage()->set_forward_passes(steps + 1);
  return response;
}

// Interrupts comes first: the fake's threads must inherit the blocked signal.
class ClientCallTest : public ::testing::Test {
 protected:
  Generation Call(absl::Duration timeout = absl::ZeroDuration(),
                  const std::function<void(const GenerateResponse&)>& on_event = {}) {
    const auto stub = GenerationService::NewStub(
        grpc::CreateChannel(service_.address(), grpc::InsecureChannelCredentials()));
    GenerateRequest request;
    request.set_prompt("a");
    return Generate(*stub, request, timeout, interrupts_, [&](const GenerateResponse& response) {
      events_.push_back(response);
      if (on_event) on_event(response);
    });
  }

  Interrupts interrupts_;
  FakeGenerationService service_;
  std::vector<GenerateResponse> events_;
};

TEST_F(ClientCallTest, CollectsTheTextsAndTokensOfEverySample) {
  service_.script = {DeltaOf(0, "a", 1), DeltaOf(1, "x", 7), DeltaOf(0, "b", 2),
                     FinishedOf(0, 2, 2), FinishedOf(1, 1, 1)};
  service_.Start();
  const Generation generation = Call();
  ASSERT_THAT(generation.status, IsOk());
  ASSERT_EQ(generation.samples.size(), 2u);
  EXPECT_EQ(generation.samples[0].text, "ab");
  EXPECT_THAT(generation.samples[0].token_ids, ElementsAre(1, 2));
  EXPECT_EQ(generation.samples[1].text, "x");
  EXPECT_EQ(events_.size(), 5u);
  EXPECT_GT(generation.first_text, absl::ZeroDuration());
  EXPECT_EQ(service_.last_request().prompt(), "a");
}

TEST_F(ClientCallTest, RecordHasTheFieldsOfAnOutputLine) {
  service_.script = {DeltaOf(0, "a", 1), FinishedOf(0, 1, 4)};
  service_.Start();
  const Generation generation = Call();
  ASSERT_THAT(generation.status, IsOk());
  EXPECT_EQ(DumpJson(RecordOf(generation, 0)),
            R"({"id":"r1","text":"a","token_ids":[1],"finish_reason":"stop","stop_reason":958,)"
            R"("usage":{"prompt_tokens":3,"completion_tokens":1,"denoising_steps":4,)"
            R"("forward_passes":5,"cached_tokens":0,"preemptions":0,"forced_tokens":0},)"
            R"("seed":0})");
}

TEST_F(ClientCallTest, UsageSumsOverSamples) {
  service_.script = {DeltaOf(0, "a", 1), FinishedOf(0, 6, 3), FinishedOf(1, 2, 1)};
  service_.Start();
  EXPECT_THAT(DescribeUsage(Call(), false),
              "8 tokens, 4 denoising steps, 6 forward passes, 2.00 tokens per denoising step");
}

TEST_F(ClientCallTest, ServersErrorKeepsWhatCameBefore) {
  service_.script = {DeltaOf(0, "a", 1)};
  service_.end = {grpc::StatusCode::UNAVAILABLE, "rank 1 was lost"};
  service_.Start();
  const Generation generation = Call();
  EXPECT_THAT(generation.status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rank 1 was lost")));
  EXPECT_EQ(DescribeError(generation.status, "h:1"), "UNAVAILABLE: rank 1 was lost");
  EXPECT_EQ(generation.samples[0].text, "a");
  EXPECT_FALSE(generation.interrupted);
}

TEST_F(ClientCallTest, StreamWithoutItsEndIsAnError) {
  service_.script = {DeltaOf(0, "a", 1)};
  service_.Start();
  EXPECT_THAT(Call().status, StatusIs(absl::StatusCode::kInternal, HasSubstr("ended before")));
}

TEST_F(ClientCallTest, TimeoutEndsTheCall) {
  service_.waits_for_cancel = true;
  service_.Start();
  EXPECT_THAT(Call(absl::Milliseconds(200)).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::_));
}

TEST_F(ClientCallTest, SignalCancelsTheCallOnTheServerToo) {
  service_.script = {DeltaOf(0, "a", 1)};
  service_.waits_for_cancel = true;
  service_.Start();
  const Generation generation = Call(absl::ZeroDuration(), [](const GenerateResponse& response) {
    if (response.delta().text() == "a") kill(getpid(), SIGINT);
  });
  EXPECT_TRUE(generation.interrupted);
  EXPECT_THAT(generation.status, StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_EQ(generation.samples[0].text, "a");
  EXPECT_TRUE(service_.WaitForCancelled());
}

TEST_F(ClientCallTest, AbsentServerIsNamedByItsAddress) {
  const absl::Status status = absl::UnavailableError("failed to connect to all addresses; last");
  EXPECT_EQ(DescribeError(status, "h:1"),
            "UNAVAILABLE: no server at h:1 (start sdar-serve, or see --server)");
}

}  // namespace
}  // namespace sdar
