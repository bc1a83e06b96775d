// SPDX-License-Identifier: Apache-2.0
// Ranks that stop or die, and files that are not what they should be, while a job loads.
#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/stat.h>

#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

const std::string kModel = std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny";

// A job of two ranks that have met, and then load for as long as the test likes: rank 0 opens its
// input, a pipe that nobody writes, before it reads weights.
class LoadingJob {
 public:
  LoadingJob() {
    mkfifo(folder_.File("input").c_str(), 0600);
    process_ =
        std::make_unique<Process>(OnRanks(2, "sdar-generate",
                                          {"--model=" + kModel, "--input=" + folder_.File("input"),
                                           "--log-level=debug", "--step-timeout=1"}),
                                  folder_.File("out"), folder_.File("err"));
    for (int i = 0; i < 6000 && Log().find("ranks are here") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::string Log() const { return ReadText(folder_.File("err")); }
  std::string tag() const { return folder_.File("input"); }
  Process& process() { return *process_; }
  pid_t PidOf(int rank) const {
    for (const FoundProcess& found : FindProcesses(tag())) {
      if (found.rank == rank) return found.pid;
    }
    ADD_FAILURE() << "no process of rank " << rank << ": " << Log();
    return -1;
  }

 private:
  ScratchFolder folder_;
  std::unique_ptr<Process> process_;
};

TEST(LoadingTest, ARankThatStopsOrDiesWhileTheJobLoadsEndsItAndIsNamed) {
  const struct {
    int rank;
    int signal;
    const char* named;
  } cases[] = {{1, SIGSTOP, "rank 1 has been silent"}, {0, SIGSTOP, "rank 0 has been silent"}};
  for (const auto& c : cases) {
    LoadingJob job;
    kill(job.PidOf(c.rank), c.signal);
    const int code = job.process().Wait(30);
    EXPECT_NE(code, -1) << job.Log();
    EXPECT_NE(code, 0) << job.Log();
    EXPECT_THAT(job.Log(), HasSubstr(c.named));
    EXPECT_TRUE(AllGone(job.tag(), 10));
  }
  for (int rank : {0, 1}) {
    LoadingJob job;
    kill(job.PidOf(rank), SIGKILL);
    EXPECT_NE(job.process().Wait(30), -1) << job.Log();
    EXPECT_THAT(job.Log(),
                AnyOf(HasSubstr(absl::StrCat("rank ", rank, " is gone")), HasSubstr("signal 9")));
    EXPECT_TRUE(AllGone(job.tag(), 10));
  }
}

TEST(LoadingTest, LoadingMayTakeLongerThanAStepMay) {
  LoadingJob job;
  EXPECT_EQ(job.process().Wait(8), -1) << job.Log();  // longer than step and silence may be
  job.process().Signal(SIGTERM);
  EXPECT_NE(job.process().Wait(15), -1);
}

// The model with one file replaced.
void CopyModel(const std::string& folder, const std::string& name, const std::string& content) {
  std::filesystem::create_directory(folder);
  for (const auto& entry : std::filesystem::directory_iterator(kModel)) {
    std::filesystem::copy(entry.path(), folder + "/" + entry.path().filename().string());
  }
  WriteText(folder + "/" + name, content);
}

TEST(LoadingTest, AFileThatIsNotWhatItShouldBeIsOneLineOnOneRankAndOnTwo) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2452743200\n";
  const std::string weights = ReadText(kModel + "/model.safetensors");
  const struct {
    const char* file;
    std::string content;
    const char* named;
  } cases[] = {{"model.safetensors", pointer, "lfs pull"},
               {"tokenizer.json", pointer, "lfs pull"},
               {"tokenizer.json", "{\"a\": ", "tokenizer.json"},
               {"tokenizer.json", "", "tokenizer.json"},
               {"config.json", "", "config.json"},
               {"model.safetensors", weights.substr(0, weights.size() / 2), "model.safetensors"},
               {"model.safetensors", "", "model.safetensors"}};
  for (const auto& c : cases) {
    for (int ranks : {1, 2}) {
      ScratchFolder folder;
      CopyModel(folder.File("model"), c.file, c.content);
      const Outcome outcome = RunProcess(
          OnRanks(ranks, "sdar-generate", {"--model=" + folder.File("model"), "--prompt=x"}), 60);
      EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr(c.named));
      const std::string line = "sdar-generate: ";
      const size_t first = outcome.err.find(line);
      EXPECT_NE(first, std::string::npos) << outcome.err;
      EXPECT_EQ(outcome.err.find(line, first + 1), std::string::npos) << outcome.err;
    }
  }
}

}  // namespace
}  // namespace sdar
