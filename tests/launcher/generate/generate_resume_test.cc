// SPDX-License-Identifier: Apache-2.0
// sdar-generate --resume after kills at any moment, on a full disk, and during another run.
// KILL_ROUNDS: kills per test (default 5). KILL_FOLDER: where the output lies (default: a
// temporary folder).
#include <cstdlib>
#include <cstring>
#include <random>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/mount.h>

#include "common/json.h"
#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr int kLines = 60;
constexpr int kSamples = 16;

std::string Input(int samples) {
  std::string input;
  for (int i = 0; i < kLines; ++i) {
    absl::StrAppend(&input, "{\"id\": \"q", i, "\", \"prompt\": \"Hello ", i,
                    "\", \"max_tokens\": 9, \"temperature\": 1, \"seed\": ", i,
                    ", \"n\": ", samples, "}\n");
  }
  return input;
}

std::vector<std::string> Command(const std::string& input, const std::string& output) {
  return OnRanks(1, "sdar-generate",
                 {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny",
                  "--input=" + input, "--output=" + output, "--resume"});
}

// The records without usage: how many passes an answer took depends on what ran next to it.
std::vector<std::string> Answers(const std::string& path) {
  std::vector<std::string> answers;
  for (absl::string_view line : absl::StrSplit(ReadText(path), '\n', absl::SkipEmpty())) {
    auto record = ParseJson(line, path);
    EXPECT_TRUE(record.ok()) << record.status();
    if (!record.ok()) continue;
    record->erase("usage");
    answers.push_back(DumpJson(*record));
  }
  return answers;
}

int NumKills() {
  const char* rounds = std::getenv("KILL_ROUNDS");
  return rounds == nullptr ? 5 : std::atoi(rounds);
}

// A folder on the disk that is asked for.
std::string OutputFolder(const ScratchFolder& scratch) {
  const char* folder = std::getenv("KILL_FOLDER");
  return folder == nullptr ? scratch.File("") : absl::StrCat(folder, "/");
}

// Kills NumKills() runs that write `output`, each at a random moment of its life, and resumes;
// whenever a run comes to its end its answers must be the expected ones, and it starts anew.
void KillAndResume(const std::string& input, const std::string& output,
                   const std::vector<std::string>& expected, double run_seconds) {
  ScratchFolder scratch;
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  int kills = 0;
  int kept = 0;  // kills that left a file with answers but not all
  const auto finish = [&] {
    EXPECT_EQ(Answers(output), expected) << "seed " << seed << ", " << kills << " kills";
    std::filesystem::remove(output);
  };
  while (kills < NumKills()) {
    Process process(Command(input, output), scratch.File("out"), scratch.File("err"));
    const double delay = std::uniform_real_distribution<double>(0, run_seconds)(random);
    const int code = process.Wait(delay);
    if (code != -1) {
      ASSERT_EQ(code, 0) << ReadText(scratch.File("err"));
      finish();
      continue;
    }
    process.Signal(SIGKILL);
    process.Wait(10);
    ++kills;
    if (!ReadText(output).empty()) ++kept;
  }
  const Outcome last = RunProcess(Command(input, output));
  ASSERT_EQ(last.exit_code, 0) << last.err;
  finish();
  std::cout << kills << " kills, " << kept << " of them with answers on disk" << std::endl;
}

// An input, and what an undisturbed run answers, in how many seconds.
struct Undisturbed {
  explicit Undisturbed(const ScratchFolder& folder, int samples) : input(folder.File("in")) {
    WriteText(input, Input(samples));
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = RunProcess(Command(input, folder.File("reference")));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    answers = Answers(folder.File("reference"));
    EXPECT_EQ(answers.size(), static_cast<size_t>(kLines * samples));
    size_bytes = std::filesystem::file_size(folder.File("reference"));
  }
  std::string input;
  double seconds = 0;
  std::vector<std::string> answers;
  size_t size_bytes = 0;
};

// A disk of one megabyte; empty where this user may not mount.
class SmallDisk {
 public:
  SmallDisk() : path_(folder_.File("disk")) {
    std::filesystem::create_directory(path_);
    is_there_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (is_there_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_there() const { return is_there_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  ScratchFolder folder_;
  std::string path_;
  bool is_there_ = false;
};

TEST(GenerateResumeTest, KillsAtAnyMomentLoseAndDoubleNothing) {
  ScratchFolder folder;
  for (int samples : {kSamples, 1}) {
    const Undisturbed whole(folder, samples);
    KillAndResume(whole.input, OutputFolder(folder) + "answers.jsonl", whole.answers,
                  whole.seconds);
    std::filesystem::remove(folder.File("reference"));
  }
}

TEST(GenerateResumeTest, KillsOnADiskOfOneMegabyteLoseAndDoubleNothing) {
  const SmallDisk disk;
  if (!disk.is_there()) GTEST_SKIP() << "mounting a tmpfs: " << std::strerror(errno);
  ScratchFolder folder;
  const Undisturbed whole(folder, kSamples);
  ASSERT_LT(whole.size_bytes, size_t{1} << 20);
  KillAndResume(whole.input, disk.File("answers.jsonl"), whole.answers, whole.seconds);
}

TEST(GenerateResumeTest, AFullDiskEndsTheRunAndItGoesOnOnceThereIsRoom) {
  const SmallDisk disk;
  if (!disk.is_there()) GTEST_SKIP() << "mounting a tmpfs: " << std::strerror(errno);
  ScratchFolder folder;
  const Undisturbed whole(folder, kSamples);
  WriteText(disk.File("filler"), std::string((size_t{1} << 20) - whole.size_bytes / 2, 'x'));
  const std::string output = disk.File("answers.jsonl");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Outcome full = RunProcess(Command(whole.input, output));
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr(output));
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    const size_t there = Answers(output).size();
    EXPECT_GT(there, 0u);
    EXPECT_EQ(there % kSamples, 0u);
  }
  std::filesystem::remove(disk.File("filler"));
  const Outcome outcome = RunProcess(Command(whole.input, output));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Answers(output), whole.answers);
}

TEST(GenerateResumeTest, LinesThatFailedAreTriedAgainAndCountAsFailed) {
  ScratchFolder folder;
  const std::string good = "{\"id\": \"a\", \"prompt\": \"x\", \"max_tokens\": 2}\n";
  WriteText(folder.File("in"), good + "{\"id\": \"b\", \"prompt\": \"x\", \"max_tokens\": -2}\n");
  const std::vector<std::string> command = Command(folder.File("in"), folder.File("out"));
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Outcome outcome = RunProcess(command);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("1 line failed"));
    EXPECT_EQ(Answers(folder.File("out")).size(), 2u);
  }
  WriteText(folder.File("in"), good + "{\"id\": \"b\", \"prompt\": \"x\", \"max_tokens\": 2}\n");
  const Outcome outcome = RunProcess(command);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<std::string> answers = Answers(folder.File("out"));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_THAT(answers[1], HasSubstr("{\"id\":\"b\",\"text\""));
}

TEST(GenerateResumeTest, FilesThatCannotBeRightAreRefusedBeforeAnythingIsWritten) {
  ScratchFolder folder;
  const std::string model = std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny";
  const std::string input = "{\"id\": \"a\", \"prompt\": \"x\", \"max_tokens\": 2}\n";
  WriteText(folder.File("in"), input);
  WriteText(folder.File("twice"), input + input);
  WriteText(folder.File("other"), "{\"id\":\"of another input\",\"text\":\"\"}\n");
  std::filesystem::create_symlink(folder.File("in"), folder.File("link"));
  const struct {
    std::string in;
    std::string out;
    std::vector<std::string> flags;
    const char* named;
  } cases[] = {
      {"in", "in", {}, "same file"},
      {"in", "link", {}, "same file"},
      {"in", "in", {"--resume"}, "same file"},
      {"twice", "out", {}, "lines 1 and 2"},
      {"in", "other", {"--resume"}, "of another input"},
      {"in", "out", {"--record-plans=" + folder.File("in")}, "same file"},
  };
  for (const auto& c : cases) {
    std::vector<std::string> arguments = {model, "--input=" + folder.File(c.in),
                                          "--output=" + folder.File(c.out)};
    arguments.insert(arguments.end(), c.flags.begin(), c.flags.end());
    const Outcome outcome = RunProcess(OnRanks(1, "sdar-generate", arguments));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(c.named));
    EXPECT_EQ(ReadText(folder.File("in")), input);
  }
  EXPECT_THAT(ReadText(folder.File("other")), HasSubstr("of another input"));
}

TEST(GenerateResumeTest, AModelThatDoesNotLoadLeavesTheAnswersOfAnEarlierRun) {
  ScratchFolder folder;
  WriteText(folder.File("in"), "{\"id\": \"a\", \"prompt\": \"x\"}\n");
  WriteText(folder.File("out"), "{\"id\":\"a\",\"text\":\"kept\"}\n");
  const Outcome outcome = RunProcess(OnRanks(
      1, "sdar-generate",
      {"--model=/nowhere", "--input=" + folder.File("in"), "--output=" + folder.File("out")}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(ReadText(folder.File("out")), HasSubstr("kept"));
}

TEST(GenerateResumeTest, ASecondRunThatWritesTheSameFileIsRefused) {
  ScratchFolder folder;
  WriteText(folder.File("in"), Input(kSamples));
  Process first(Command(folder.File("in"), folder.File("out")), folder.File("stdout"),
                folder.File("stderr"));
  while (ReadText(folder.File("out")).empty() && first.Wait(0.01) == -1) {
  }
  const Outcome second = RunProcess(Command(folder.File("in"), folder.File("out")));
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("another run is writing"));
  EXPECT_EQ(first.Wait(60), 0);
}

}  // namespace
}  // namespace sdar
