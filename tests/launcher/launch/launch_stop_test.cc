// SPDX-License-Identifier: Apache-2.0
// SIGTERM to sdar-launch at any moment of a job's start, and jobs that do not hear it at once.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::AnyOf;

const std::string kLaunch = std::string(SDAR_BIN_DIR) + "/sdar-launch";

// sdar-launch as a child that has not come to its main function yet is ended by the signal itself.
constexpr int kEndedBeforeMain = 128 + SIGTERM;
constexpr int kLoadingMs = 25;

TEST(LaunchStopTest, SigtermAtAnyMomentOfTheStartEndsTheJobWithZero) {
  for (int delay_ms = 0; delay_ms <= 500; delay_ms += 20) {
    ScratchFolder folder;
    const std::string tag = folder.File("address");
    Process process({kLaunch, "--ranks=2", "--stop-timeout=30", "--", "sdar-serve",
                     std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny", "--port=0",
                     "--http-port=-1", "--address-file=" + tag},
                    folder.File("out"), folder.File("err"));
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    process.Signal(SIGTERM);
    const int code = process.Wait(20);
    if (delay_ms <= kLoadingMs) {
      EXPECT_THAT(code, AnyOf(0, kEndedBeforeMain)) << delay_ms;
    } else {
      EXPECT_EQ(code, 0) << "after " << delay_ms << " ms: " << ReadText(folder.File("err"));
    }
    EXPECT_TRUE(AllGone(tag, 10)) << delay_ms;
  }
}

// A job that is stopped once it has written `ready`; the exit code of sdar-launch.
int StopOnceReady(const std::string& script, const std::vector<std::string>& flags) {
  ScratchFolder folder;
  WriteText(folder.File("mpirun"), "#!/bin/sh\n" + script);
  std::filesystem::permissions(folder.File("mpirun"), std::filesystem::perms::owner_all);
  std::vector<std::string> words = {kLaunch, "--mpirun=" + folder.File("mpirun")};
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"--", "/bin/true"});
  Process process(words, folder.File("out"), folder.File("err"));
  while (ReadText(folder.File("out")).empty() && process.Wait(0.01) == -1) {
  }
  process.Signal(SIGTERM);
  return process.Wait(20);
}

TEST(LaunchStopTest, AnOrderToStopThatMpirunLosesComesAgain) {
  EXPECT_EQ(StopOnceReady("n=0\ntrap 'n=$((n+1)); [ $n -ge 3 ] && exit 0' USR1\n"
                          "echo ready\nwhile :; do sleep 0.02; done\n",
                          {"--stop-timeout=15"}),
            0);
}

TEST(LaunchStopTest, AnyCodeOfAJobThatEndsBecauseItWasToldToIsZero) {
  EXPECT_EQ(StopOnceReady("trap 'exit 1' USR1\necho ready\nwhile :; do sleep 0.02; done\n", {}), 0);
}

TEST(LaunchStopTest, AJobThatHearsNothingIsEndedAfterTheStopTimeoutAndThatShows) {
  EXPECT_NE(StopOnceReady("trap '' USR1\necho ready\nwhile :; do sleep 0.02; done\n",
                          {"--stop-timeout=0.3"}),
            0);
}

}  // namespace
}  // namespace sdar
