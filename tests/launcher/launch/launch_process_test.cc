// SPDX-License-Identifier: Apache-2.0
// sdar-launch on one machine.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "common/steady_time.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Launch(const std::vector<std::string>& flags,
                                const std::vector<std::string>& command) {
  std::vector<std::string> words = {std::string(SDAR_BIN_DIR) + "/sdar-launch"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

TEST(LaunchProcessTest, SigtermDrainsTheJobAndExitsWithZero) {
  ServedJob job(Launch({"--ranks=2", "--stop-timeout=610"}, {"sdar-serve"}), {kLongDrain});
  OpenCall call(job);
  job.process().Signal(SIGTERM);
  EXPECT_TRUE(call.Finish().ok()) << job.Log();
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
  EXPECT_TRUE(AllGone(job.tag(), 5));
}

TEST(LaunchProcessTest, ADrainThatOutlastsTheStopTimeoutIsEnded) {
  ServedJob job(Launch({"--ranks=2", "--stop-timeout=0.1"}, {"sdar-serve"}), {});
  OpenCall call(job);
  job.process().Signal(SIGTERM);
  EXPECT_THAT(call.Finish().error_code(), AnyOf(grpc::StatusCode::ABORTED, grpc::StatusCode::OK));
  EXPECT_NE(job.process().Wait(10), -1) << job.Log();
  EXPECT_TRUE(AllGone(job.tag(), 5));
}

TEST(LaunchProcessTest, AJobThatLosesARankServesAgain) {
  ServedJob job(Launch({"--ranks=2"}, {"sdar-serve"}), {});
  const std::string first_address = ReadText(job.tag());
  kill(PidOfRank(job, 1), SIGKILL);
  ASSERT_TRUE(Eventually([&] { return ReadText(job.tag()) != first_address; })) << job.Log();
  const std::string address = ReadText(job.tag());
  const auto stub = sdar::v1::GenerationService::NewStub(grpc::CreateChannel(
      address.substr(0, address.find('\n')), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  sdar::v1::GetStatusResponse status;
  EXPECT_TRUE(stub->GetStatus(&context, {}, &status).ok());
  EXPECT_THAT(job.Log(), HasSubstr("start 2 follows in 1s"));
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
}

TEST(LaunchProcessTest, CtrlCAndDeathLeaveNothingBehind) {
  for (int signal : {SIGINT, SIGKILL}) {
    ServedJob job(Launch({"--ranks=2"}, {"sdar-serve"}), {});
    job.process().Signal(signal);
    EXPECT_NE(job.process().Wait(15), -1) << job.Log();
    EXPECT_TRUE(AllGone(job.tag(), 10)) << "signal " << signal;
  }
}

TEST(LaunchProcessTest, ExitCodesOfTheJobAreItsOwn) {
  const Outcome failed =
      RunProcess(Launch({"--ranks=1", "--max-restarts=1"}, {"/bin/sh", "-c", "exit 7"}), 60);
  EXPECT_EQ(failed.exit_code, 7) << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("it has been started again 1 times"));
  EXPECT_EQ(RunProcess(Launch({"--restart=never"}, {"/bin/sh", "-c", "exit 9"})).exit_code, 9);
  EXPECT_EQ(RunProcess(Launch({}, {"/bin/true"})).exit_code, 0);
}

TEST(LaunchProcessTest, AFailureIsPausedBeforeSoThatItsLogCanBeRead) {
  // The job fails for good; the launcher itself has nothing to start.
  for (const char* flag : {"--restart=never", "--hostfile=/nowhere"}) {
    const SteadyTime begin = SteadyTime::Now();
    const Outcome outcome = RunProcess(Launch({"--failure-pause=0.5", flag}, {"/bin/false"}));
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_GE(SteadyTime::Now() - begin, absl::Milliseconds(500));
    EXPECT_THAT(outcome.err, HasSubstr("ending in 500ms, so that this log can be read"));
  }
  const SteadyTime begin = SteadyTime::Now();
  EXPECT_EQ(RunProcess(Launch({"--failure-pause=600"}, {"/bin/true"})).exit_code, 0);
  ServedJob job(Launch({"--ranks=2", "--failure-pause=600"}, {"sdar-serve"}), {});
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
  EXPECT_LT(SteadyTime::Now() - begin, absl::Seconds(300));
}

TEST(LaunchProcessTest, WhatMoreTriesDoNotMendIsNotTriedAgain) {
  const Outcome outcome = RunProcess(Launch({}, {"sdar-serve", "--model=/nowhere"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("follows in")));
  const size_t last_line = outcome.err.rfind('\n', outcome.err.size() - 2) + 1;
  EXPECT_THAT(outcome.err.substr(last_line), HasSubstr("error the job cannot run: /nowhere"));
}

TEST(LaunchProcessTest, AMissingMpirunIsOneClearLine) {
  const Outcome outcome = RunProcess(Launch({"--mpirun=/nowhere/mpirun"}, {"/bin/true"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("cannot run /nowhere/mpirun: No such file"));
}

TEST(LaunchProcessTest, WaitingForAMachineEndsWithSigtermAndAfterItsTimeout) {
  const std::vector<std::string> hosts = {"--hosts=localhost,no-such-host.invalid"};
  ScratchFolder folder;
  Process waiting(Launch(hosts, {"/bin/true"}), folder.File("out"), folder.File("err"));
  ASSERT_TRUE(Eventually([&] {
    return ReadText(folder.File("err")).find("waiting for 1 machine") != std::string::npos;
  }));
  waiting.Signal(SIGTERM);
  EXPECT_EQ(waiting.Wait(15), 0) << ReadText(folder.File("err"));
  const Outcome outcome = RunProcess(Launch({hosts[0], "--peer-timeout=0.1"}, {"/bin/true"}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("--peer-timeout"));
}

}  // namespace
}  // namespace sdar
