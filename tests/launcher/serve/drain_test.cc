// SPDX-License-Identifier: Apache-2.0
// SIGUSR1: the calls in hand are answered, new ones are refused.
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "tests/launcher/health_check.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"
#include "tests/server/http/http_client.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// Of a call that the job ended and that had brought text.
constexpr auto kCutShort = grpc::StatusCode::ABORTED;

// Waits until the job refuses new calls; what it says.
std::string AwaitRefusal(ServedJob& job) {
  std::string message;
  EXPECT_TRUE(Eventually([&] {
    sdar::v1::GenerateRequest request = Ask("Hello!");
    request.mutable_stopping()->set_max_tokens(1);
    const grpc::Status status = job.Generate(request).status;
    message = status.error_message();
    return status.error_code() == grpc::StatusCode::UNAVAILABLE;
  })) << job.Log();
  return message;
}

sdar::v1::GenerateRequest OneToken() {
  sdar::v1::GenerateRequest request = Ask("Hello!");
  request.mutable_stopping()->set_max_tokens(1);
  return request;
}

TEST(DrainTest, OpenCallsEndWellAndNewOnesAreRefused) {
  for (int ranks : {1, 2}) {
    ServedJob job(ranks, {kLongDrain});
    OpenCall call(job);
    job.process().Signal(SIGUSR1);
    EXPECT_THAT(AwaitRefusal(job), HasSubstr("draining"));
    EXPECT_TRUE(call.Finish().ok()) << job.Log();
    EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
    EXPECT_TRUE(AllGone(job.tag(), 5));
  }
}

TEST(DrainTest, ReadinessGoesAndLivenessStays) {
  ServedJob job(1, {kLongDrain});
  OpenCall call(job);
  HttpClient client(job.http_address());
  EXPECT_EQ(client.Ask("GET", "/readyz").code, 200);
  job.process().Signal(SIGUSR1);
  AwaitRefusal(job);
  EXPECT_EQ(client.Ask("GET", "/readyz").code, 503);
  EXPECT_EQ(HttpClient(job.http_address()).Ask("GET", "/livez").code, 200);
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
}

TEST(DrainTest, DuringTheDelayCallsAreTakenAndHealthSaysNo) {
  ServedJob job(1, {"--drain-delay=600"});
  HttpClient client(job.http_address());
  EXPECT_EQ(client.Ask("GET", "/readyz").code, 200);
  job.process().Signal(SIGUSR1);
  ASSERT_TRUE(
      Eventually([&] { return HttpClient(job.http_address()).Ask("GET", "/readyz").code == 503; }));
  ASSERT_TRUE(Eventually([&] { return !HealthCheck(job.channel()).IsServing(); }));
  EXPECT_TRUE(job.Generate(OneToken()).status.ok()) << job.Log();
  // A kept connection would be used again after the end.
  HttpClient other(job.http_address());
  const HttpAnswer answer = other.Ask("GET", "/v1/models");
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
}

TEST(DrainTest, AfterTheDelayTheJobDrains) {
  ServedJob job(1, {"--drain-delay=0.2"});
  job.process().Signal(SIGUSR1);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
  EXPECT_THAT(job.Log(), HasSubstr("draining begins in 200ms"));
}

TEST(DrainTest, SigtermDrainsWhereItIsToldTo) {
  ServedJob job(2, {kLongDrain, "--sigterm=drain"});
  OpenCall call(job);
  for (int rank = 0; rank < 2; ++rank) kill(PidOfRank(job, rank), SIGTERM);
  EXPECT_THAT(AwaitRefusal(job), HasSubstr("draining"));
  EXPECT_TRUE(call.Finish().ok()) << job.Log();
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
}

// Whatever moment a call meets: its status tells its client to try elsewhere.
TEST(DrainTest, CallersInALoopHearNothingButUnavailable) {
  for (int round = 0; round < 3; ++round) {
    ServedJob job(1);
    std::vector<std::thread> callers;
    std::vector<std::vector<grpc::Status>> refusals(6);
    for (std::vector<grpc::Status>& mine : refusals) {
      callers.emplace_back([&job, &mine] {
        while (mine.size() < 200) {
          const grpc::Status status = job.Generate(OneToken()).status;
          if (!status.ok()) mine.push_back(status);
        }
      });
    }
    job.process().Signal(SIGUSR1);
    EXPECT_EQ(job.process().Wait(20), 0) << job.Log();
    for (std::thread& caller : callers) caller.join();
    for (const auto& mine : refusals) {
      for (const grpc::Status& status : mine) {
        ASSERT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
      }
    }
  }
}

TEST(DrainTest, CallsThatOutlastTheTimeoutAreEnded) {
  ServedJob job(2, {"--drain-timeout=0.05"});
  OpenCall call(job);
  job.process().Signal(SIGUSR1);
  EXPECT_EQ(call.Finish().error_code(), kCutShort);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
  EXPECT_THAT(job.Log(), HasSubstr("still open after 50ms"));
}

TEST(DrainTest, ASecondSignalCutsADrainShort) {
  ServedJob job(1);
  OpenCall call(job);
  job.process().Signal(SIGUSR1);
  AwaitRefusal(job);
  job.process().Signal(SIGTERM);
  EXPECT_EQ(call.Finish().error_code(), kCutShort);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
}

TEST(DrainTest, ATimeoutThatIsNoTimeIsRefused) {
  const Outcome outcome = RunProcess(OnRanks(1, "sdar-serve", {"--drain-timeout=-1"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--drain-timeout: expected 0 .. 86400 seconds, got -1"));
}

}  // namespace
}  // namespace sdar
