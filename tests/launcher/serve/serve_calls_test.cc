// SPDX-License-Identifier: Apache-2.0
// How calls of sdar-serve end that do not just get their answer: aborted, too slow, or with the
// job.
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "tests/launcher/channels.h"
#include "tests/launcher/health_check.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

grpc::Status Abort(ServedJob& job, const std::string& id) {
  grpc::ClientContext context;
  sdar::v1::AbortRequest request;
  request.set_request_id(id);
  sdar::v1::AbortResponse response;
  return job.stub().Abort(&context, request, &response);
}

bool AllSlotsAreFree(ServedJob& job) {
  const sdar::v1::GetStatusResponse status = job.Status();
  return status.free_slots() == status.total_slots() && status.waiting() == 0;
}

TEST(ServeCallsTest, AbortEndsTheCallWithThatIdAndFreesItsSlot) {
  ServedJob job(1);
  sdar::v1::GenerateRequest request = LongRequest();
  request.set_request_id("mine");
  OpenCall call(job, request);
  OpenCall other(job);
  EXPECT_EQ(call.request_id(), "mine");
  EXPECT_TRUE(Abort(job, "mine").ok());
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(Abort(job, "mine").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Abort(job, other.request_id()).ok());
  EXPECT_EQ(other.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return AllSlotsAreFree(job); }));
}

TEST(ServeCallsTest, AnIdIsTakenWhileItsCallIsOpenAndFreeOnceItHasEnded) {
  ServedJob job(1);
  sdar::v1::GenerateRequest request = LongRequest();
  request.set_request_id("mine");
  OpenCall call(job, request);
  EXPECT_EQ(job.Generate(request).status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(Abort(job, "mine").ok());
  call.Finish();
  sdar::v1::GenerateRequest again = Ask("Hello!");
  again.set_request_id("mine");
  for (int i = 0; i < 20; ++i) {
    const grpc::Status status = job.Generate(again).status;
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

TEST(ServeCallsTest, ALostRankIsUnavailableToCallsThatGotNothingAndAbortedToTheOthers) {
  ServedJob job(2, {"--max-sequences=1"});
  OpenCall running(job);
  grpc::ClientContext context;
  auto waiting = job.stub().Generate(&context, LongRequest());
  ASSERT_TRUE(Eventually([&] { return job.Status().waiting() == 1; }));
  kill(PidOfRank(job, 1), SIGKILL);
  sdar::v1::GenerateResponse response;
  EXPECT_FALSE(waiting->Read(&response));
  EXPECT_EQ(waiting->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(running.Finish().error_code(), grpc::StatusCode::ABORTED);
}

TEST(ServeCallsTest, HealthSaysNotServingBeforeAStoppedRankEndsTheJob) {
  ServedJob job(2);
  HealthCheck health(job.channel());
  EXPECT_TRUE(health.IsServing());
  EXPECT_EQ(job.Status().unhealthy(), "");
  const pid_t rank = PidOfRank(job, 1);
  kill(rank, SIGSTOP);
  EXPECT_TRUE(Eventually([&] { return !health.IsServing(); }));
  EXPECT_THAT(job.Status().unhealthy(), HasSubstr("rank 1"));
  kill(rank, SIGCONT);  // in time: the job goes on
  EXPECT_TRUE(Eventually([&] { return health.IsServing(); }));
  EXPECT_EQ(job.Status().unhealthy(), "");
  EXPECT_TRUE(job.Generate(Ask("Hello!")).status.ok());
}

TEST(ServeCallsTest, AReaderThatStopsLosesItsCallAndHoldsNothingAndNobodyUp) {
  ServedJob job(1, {"--max-stream-backlog=32"});
  auto stub = sdar::v1::GenerationService::NewStub(NarrowChannel(job.address()));
  sdar::v1::GenerateRequest request = LongRequest();
  request.mutable_sampling()->set_n(8);
  request.mutable_output()->set_logprobs(20);
  grpc::ClientContext context;
  auto reader = stub->Generate(&context, request);
  sdar::v1::GenerateResponse response;
  ASSERT_TRUE(reader->Read(&response));  // and then nothing more
  EXPECT_TRUE(job.Generate(Ask("Hello!")).status.ok());
  EXPECT_TRUE(Eventually([&] { return AllSlotsAreFree(job); }));
  EXPECT_TRUE(job.Generate(Ask("Hello!")).status.ok());
  int64_t tokens = 0;
  while (reader->Read(&response)) tokens += response.delta().token_ids_size();
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("slowly"));
  EXPECT_GT(tokens, 0);
}

}  // namespace
}  // namespace sdar
