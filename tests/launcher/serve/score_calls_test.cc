// SPDX-License-Identifier: Apache-2.0
// Score calls of sdar-serve: what they answer, what they refuse, and how they end otherwise.
#include <chrono>
#include <cmath>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "common/json.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny";

struct Scored {
  grpc::Status status;
  sdar::v1::ScoreResponse response;
};

Scored Score(ServedJob& job, const sdar::v1::ScoreRequest& request,
             std::chrono::milliseconds timeout = std::chrono::minutes(2)) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  Scored scored;
  scored.status = job.stub().Score(&context, request, &scored.response);
  return scored;
}

sdar::v1::ScoreRequest RequestOf(const Json& run) {
  sdar::v1::ScoreRequest request;
  const auto prompt_length = run["prompt_length"].get<size_t>();
  for (size_t i = 0; i < run["ids"].size(); ++i) {
    const auto id = run["ids"][i].get<uint32_t>();
    (i < prompt_length ? *request.mutable_prompt_ids() : *request.mutable_ids()).add_ids(id);
  }
  return request;
}

// Takes long enough to be met while it runs: blocks of 64, one state of 64 rows for each target.
sdar::v1::ScoreRequest SlowScore() {
  sdar::v1::ScoreRequest request;
  for (uint32_t i = 0; i < 1900; ++i) request.mutable_ids()->add_ids(i * 7 % 900);
  request.set_block_length(64);
  return request;
}

void ExpectReference(const Scored& scored, const Json& run) {
  ASSERT_TRUE(scored.status.ok()) << scored.status.error_message();
  const sdar::v1::ScoreResponse& response = scored.response;
  const auto count = static_cast<int>(run["logprobs"].size());
  ASSERT_EQ(response.token_ids_size(), count);
  ASSERT_EQ(response.logprobs_size(), count);
  ASSERT_EQ(response.greedy_size(), count);
  EXPECT_FALSE(response.request_id().empty());
  double sum = 0;
  for (int t = 0; t < count; ++t) {
    const auto i = static_cast<size_t>(t);
    EXPECT_EQ(response.token_ids(t), run["ids"][run["prompt_length"].get<size_t>() + i]);
    EXPECT_NEAR(response.logprobs(t), run["logprobs"][i].get<double>(), 1e-4);
    EXPECT_EQ(response.greedy(t), run["greedy"][i].get<bool>());
    sum += response.logprobs(t);
  }
  EXPECT_NEAR(response.sum(), sum, 1e-3);
  EXPECT_EQ(response.usage().prompt_tokens(), run["prompt_length"].get<uint32_t>());
  EXPECT_EQ(response.usage().completion_tokens(), static_cast<uint32_t>(count));
  EXPECT_GT(response.usage().forward_passes(), 0u);
}

TEST(ScoreCallsTest, AnswerWithTheReferencesLogprobsWhileOthersGenerate) {
  const Json runs = (*ReadJsonFile(kTiny + "/likelihood.json"))["runs"];
  const std::pair<int, std::vector<std::string>> shapes[] = {
      {1, {}}, {2, {"--max-sequences=3"}}, {2, {"--tensor-parallel=1"}}};
  for (auto [ranks, flags] : shapes) {
    flags.push_back("--dtype=float32");
    ServedJob job(ranks, flags);
    const std::string alone = job.Generate(Ask("What is tensor parallelism?")).text;
    std::vector<Scored> scored(runs.size());
    std::vector<Generated> generated(4);
    std::vector<std::thread> clients;
    for (size_t i = 0; i < runs.size(); ++i) {
      clients.emplace_back([&, i] { scored[i] = Score(job, RequestOf(runs[i])); });
    }
    for (Generated& one : generated) {
      clients.emplace_back([&] { one = job.Generate(Ask("What is tensor parallelism?")); });
    }
    for (std::thread& client : clients) client.join();
    for (size_t i = 0; i < runs.size(); ++i) ExpectReference(scored[i], runs[i]);
    for (const Generated& one : generated) EXPECT_EQ(one.text, alone);
    EXPECT_TRUE(
        Eventually([&] { return job.Status().free_slots() == job.Status().total_slots(); }));
    EXPECT_EQ(job.Status().free_pages(), job.Status().total_pages());
  }
}

TEST(ScoreCallsTest, TextsAndChatsAreTokenizedAndThePromptMayBeAbsent) {
  ServedJob job(1);
  sdar::v1::ScoreRequest request;
  request.set_request_id("mine");
  request.set_text("11 + 16");
  request.set_top_logprobs(2);
  const Scored alone = Score(job, request);
  ASSERT_TRUE(alone.status.ok()) << alone.status.error_message();
  EXPECT_EQ(alone.response.request_id(), "mine");
  EXPECT_EQ(alone.response.usage().prompt_tokens(), 0u);
  ASSERT_GT(alone.response.token_ids_size(), 1);
  ASSERT_EQ(alone.response.top_size(), alone.response.token_ids_size());
  for (const auto& top : alone.response.top()) EXPECT_EQ(top.alternatives_size(), 2);
  request.clear_top_logprobs();
  *request.mutable_chat() = Ask("Compute 11 + 16.").chat();
  const Generated answer = job.Generate(Ask("Compute 11 + 16."));
  request.set_text(answer.text);
  const Scored likely = Score(job, request);
  ASSERT_TRUE(likely.status.ok()) << likely.status.error_message();
  EXPECT_EQ(likely.response.top_size(), 0);
  request.set_text("xyzzy");
  const Scored unlikely = Score(job, request);
  ASSERT_TRUE(unlikely.status.ok()) << unlikely.status.error_message();
  EXPECT_GT(likely.response.sum() / likely.response.token_ids_size(),
            unlikely.response.sum() / unlikely.response.token_ids_size() + 1);
}

TEST(ScoreCallsTest, WhatIsWrongIsRefusedByName) {
  ServedJob job(1);
  const auto refused = [&](const std::function<void(sdar::v1::ScoreRequest&)>& spoil,
                           const char* named) {
    sdar::v1::ScoreRequest request;
    request.mutable_ids()->add_ids(5);
    spoil(request);
    const Scored scored = Score(job, request);
    EXPECT_EQ(scored.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << named;
    EXPECT_THAT(scored.status.error_message(), HasSubstr(named));
  };
  using Request = sdar::v1::ScoreRequest;
  refused([](Request& r) { r.clear_ids(); }, "continuation");
  refused([](Request& r) { r.set_text(""); }, "continuation: it is empty");
  refused([](Request& r) { r.mutable_ids()->add_ids(1024); }, "continuation[1]");
  refused([](Request& r) { r.mutable_prompt_ids()->add_ids(0xFFFFFFFF); }, "prompt_ids");
  refused([](Request& r) { r.set_block_length(3); }, "block_length");
  refused([](Request& r) { r.set_block_length(0); }, "block_length");
  refused([](Request& r) { r.set_top_logprobs(21); }, "top_logprobs");
  refused([](Request& r) { r.mutable_scheduling()->set_priority(1000); }, "priority");
  refused([](Request& r) { r.mutable_scheduling()->set_timeout_seconds(-1); }, "timeout_seconds");
  refused([](Request& r) { r.set_request_id("a b"); }, "request_id");
  refused(
      [](Request& r) {
        for (int i = 0; i < 4000; ++i) r.mutable_ids()->add_ids(1);
      },
      "the continuation 4001");
  refused([](Request& r) { r.mutable_chat()->add_messages()->set_content("x"); }, "role");
}

TEST(ScoreCallsTest, AbortDeadlineAndCancellationEndThemAndFreeTheirSlots) {
  ServedJob job(1, {"--max-sequences=1", "--max-batch-rows=128"});
  sdar::v1::ScoreRequest request = SlowScore();
  request.set_request_id("mine");
  Scored aborted;
  std::thread client([&] { aborted = Score(job, request); });
  EXPECT_TRUE(Eventually([&] { return job.Status().free_slots() == 0; }));
  sdar::v1::AbortRequest abort;
  abort.set_request_id("mine");
  grpc::ClientContext context;
  sdar::v1::AbortResponse nothing;
  EXPECT_TRUE(job.stub().Abort(&context, abort, &nothing).ok());
  client.join();
  EXPECT_EQ(aborted.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(aborted.response.token_ids_size(), 0);

  request.mutable_scheduling()->set_timeout_seconds(0.05);
  EXPECT_EQ(Score(job, request).status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  request.clear_scheduling();
  EXPECT_EQ(Score(job, request, std::chrono::milliseconds(50)).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return job.Status().free_slots() == 1; }));

  grpc::ClientContext cancelled;
  std::thread canceller([&] {
    Eventually([&] { return job.Status().free_slots() == 0; });
    cancelled.TryCancel();
  });
  sdar::v1::ScoreResponse response;
  EXPECT_EQ(job.stub().Score(&cancelled, request, &response).error_code(),
            grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(Eventually([&] { return job.Status().free_slots() == 1; }));
  sdar::v1::ScoreRequest small;
  small.mutable_ids()->add_ids(5);
  EXPECT_TRUE(Score(job, small).status.ok());
}

TEST(ScoreCallsTest, AFullQueueRefusesThemAndAKeyIsAskedFor) {
  ScratchFolder folder;
  WriteText(folder.File("keys"), "the-key-of-the-test\n");
  ServedJob locked(1, {"--api-keys-file=" + folder.File("keys")});
  sdar::v1::ScoreRequest small;
  small.mutable_ids()->add_ids(5);
  EXPECT_EQ(Score(locked, small).status.error_code(), grpc::StatusCode::UNAUTHENTICATED);

  ServedJob job(1, {"--max-sequences=1", "--max-waiting=0"});
  OpenCall running(job, SlowRequest());
  const Scored scored = Score(job, small);
  EXPECT_EQ(scored.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(scored.status.error_message(), HasSubstr("queue is full"));
}

TEST(ScoreCallsTest, ALostRankMakesThemUnavailable) {
  ServedJob job(2);
  Scored scored;
  std::thread client([&] { scored = Score(job, SlowScore()); });
  EXPECT_TRUE(Eventually([&] { return job.Status().free_slots() < job.Status().total_slots(); }));
  kill(PidOfRank(job, 1), SIGKILL);
  client.join();
  EXPECT_EQ(scored.status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace sdar
