// SPDX-License-Identifier: Apache-2.0
// A served job whose clock is set while it runs: it keeps serving, and timeouts stay what they
// are. Needs libfaketime; says so and skips where it is not.
#include <chrono>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

constexpr char kLibrary[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
// Named after it, the C library's allocator comes before jemalloc's, which asks for the time before
// it can allocate what the library above needs to tell it.
constexpr char kAllocator[] = "libc.so.6:libstdc++.so.6";

// Two ranks that see a wall clock of the test's, off by what a file says; the steady clock is the
// machine's.
class ClockStepTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kLibrary)) GTEST_SKIP() << kLibrary << " is not there";
    SetClock("+0");
    std::vector<std::string> launch = OnRanks(2, "sdar-serve", {});
    const std::vector<std::string> environment = {
        "env",
        absl::StrCat("LD_PRELOAD=", kLibrary, ":", kAllocator),
        "FAKETIME_TIMESTAMP_FILE=" + folder_.File("clock"),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1"};
    launch.insert(launch.end() - 1, environment.begin(), environment.end());
    job_ = std::make_unique<ServedJob>(
        launch, std::vector<std::string>{"--tensor-parallel=1", "--max-sequences=1"});
  }

  void SetClock(const std::string& offset) {
    WriteText(folder_.File("new"), offset + "s\n");
    std::filesystem::rename(folder_.File("new"), folder_.File("clock"));
  }

  void ExpectServes(const std::string& when) {
    const Generated answer = job_->Generate(Ask("Who are you?"));
    EXPECT_TRUE(answer.status.ok()) << when << ": " << answer.status.error_message();
    EXPECT_EQ(job_->Status().unhealthy(), "") << when;
  }

  ScratchFolder folder_;
  std::unique_ptr<ServedJob> job_;
};

// Steps as they come: a correction of half a minute, and an hour of summer time set by hand.
constexpr const char* kSteps[] = {"+30", "-30", "+3600", "-3600", "+0"};

TEST_F(ClockStepTest, TheJobServesOnWhereverTheClockIsSet) {
  ExpectServes("before");
  for (const char* step : kSteps) {
    SetClock(step);
    // Beats of the watchdog, after which a rank that believed the clock would be lost.
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      ExpectServes(step);
    }
    const sdar::v1::GetStatusResponse status = job_->Status();
    for (double silence : status.rank_silence_seconds()) EXPECT_LT(std::fabs(silence), 5);
  }
  job_->process().Signal(SIGUSR1);
  EXPECT_EQ(job_->process().Wait(20), 0) << job_->Log();
}

TEST_F(ClockStepTest, TimeoutsOfCallsThatRunAndThatWaitAreNotMovedByTheClock) {
  for (const char* step : kSteps) {
    sdar::v1::GenerateRequest request = Ask("Who are you?");
    request.mutable_stopping()->set_ignore_eos(true);
    request.mutable_scheduling()->set_timeout_seconds(2);
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> calls;
    // Two replicas of one slot each, so that two calls run and two wait.
    for (int i = 0; i < 4; ++i) {
      calls.emplace_back([&] {
        const Generated answer = job_->Generate(request);
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (answer.status.ok()) return;  // it came to its end before its deadline
        EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED)
            << answer.status.error_message();
        EXPECT_GT(seconds, 1.5) << step;
        EXPECT_LT(seconds, 20) << step;
      });
    }
    SetClock(step);
    for (std::thread& call : calls) call.join();
  }
}

}  // namespace
}  // namespace sdar
