// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/answer_file.h"

#include <csignal>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/launcher/process.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

std::vector<InputLine> Lines(const std::string& text) {
  std::istringstream in(text);
  auto lines = ReadInputLines(in);
  EXPECT_TRUE(lines.ok()) << lines.status();
  return *lines;
}

// What a line's answer looks like.
std::string Records(const InputLine& line) {
  std::string records;
  for (int64_t i = 0; i < line.num_samples; ++i) {
    absl::StrAppend(&records, "{\"id\":", line.id, ",\"text\":\"t", i, "\"",
                    line.num_samples > 1 ? absl::StrCat(",\"index\":", i) : "", "}\n");
  }
  return records;
}

// Resumes `path` and answers what is missing; the status of the first thing that fails.
absl::Status FinishFile(const std::string& path, std::vector<InputLine> lines) {
  auto file = AnswerFile::Open(path);
  if (!file.ok()) return file.status();
  if (absl::Status status = file->FindAnswered(lines); !status.ok()) return status;
  if (absl::Status status = file->Begin(); !status.ok()) return status;
  for (const InputLine& line : lines) {
    if (line.is_answered) continue;
    if (absl::Status status = file->Append(Records(line)); !status.ok()) return status;
  }
  return file->Sync(AnswerFile::SyncWhen::kNow);
}

constexpr char kInput[] =
    "{\"id\": \"a\", \"n\": 3}\n{\"id\": \"b\"}\n{}\n{\"id\": \"c\", \"n\": 2}\n";

TEST(AnswerFileTest, AFileThatWasCutAtAnyByteIsCompletedToTheSameBytes) {
  ScratchFolder folder;
  const std::vector<InputLine> lines = Lines(kInput);
  std::string whole;
  for (const InputLine& line : lines) whole += Records(line);
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    WriteText(folder.File("out"), whole.substr(0, cut));
    const absl::Status status = FinishFile(folder.File("out"), lines);
    ASSERT_TRUE(status.ok()) << status << " at " << cut;
    ASSERT_EQ(ReadText(folder.File("out")), whole) << "cut at " << cut;
  }
}

TEST(AnswerFileTest, ZerosThatAPowerFailureLeavesAreCutOff) {
  ScratchFolder folder;
  const std::vector<InputLine> lines = Lines(kInput);
  const std::string first = Records(lines[0]);
  WriteText(folder.File("out"), first + std::string(5000, '\0'));
  ASSERT_TRUE(FinishFile(folder.File("out"), lines).ok());
  EXPECT_EQ(ReadText(folder.File("out")).substr(0, first.size() + 5), first + "{\"id\"");
}

TEST(AnswerFileTest, WhatIsThereStaysUntilBeginAndThenOnlyTheUnfinishedEndGoes) {
  ScratchFolder folder;
  std::vector<InputLine> lines = Lines(kInput);
  const std::string kept = Records(lines[0]) + Records(lines[1]);
  const std::string content = kept + "{\"id\":3,\"te";
  WriteText(folder.File("out"), content);
  struct stat before = {};
  stat(folder.File("out").c_str(), &before);
  auto file = AnswerFile::Open(folder.File("out"));
  ASSERT_TRUE(file->FindAnswered(lines).ok());
  EXPECT_EQ(ReadText(folder.File("out")), content);
  ASSERT_TRUE(file->Begin().ok());
  EXPECT_EQ(ReadText(folder.File("out")), kept);
  struct stat after = {};
  stat(folder.File("out").c_str(), &after);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST(AnswerFileTest, ErrorRecordsAreTakenOutAndTheirLinesTriedAgain) {
  ScratchFolder folder;
  const std::vector<InputLine> lines = Lines(kInput);
  const std::string error = "{\"id\":\"b\",\"line\":2,\"error\":\"e\"}\n";
  const std::string mended = "{\"id\":7,\"line\":3,\"error\":\"its id was 7\"}\n";
  WriteText(folder.File("target"),
            error + Records(lines[0]) + mended + error + Records(lines[2]) + error);
  std::filesystem::create_symlink("target", folder.File("out"));
  ASSERT_TRUE(FinishFile(folder.File("out"), lines).ok());
  EXPECT_EQ(ReadText(folder.File("target")),
            Records(lines[0]) + Records(lines[2]) + Records(lines[1]) + Records(lines[3]));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.File("out")));
  EXPECT_FALSE(std::filesystem::exists(folder.File("target.partial")));
}

TEST(AnswerFileTest, RecordsThatAreNotThisInputsAreRefusedAndLeftAlone) {
  ScratchFolder folder;
  const std::vector<InputLine> lines = Lines(kInput);
  const struct {
    std::string content;
    const char* named;
  } cases[] = {
      {"{\"id\":\"z\",\"text\":\"\"}\n", "id \"z\""},
      {"{\"id\":\"b\"}\n{\"id\":\"b\"}\n", "answered twice"},
      {"{\"id\":\"a\",\"index\":0}\n{\"id\":\"b\"}\n", "1 of the 3"},
      {"{\"id\":\"a\",\"index\":1}\n", "expected sample 0"},
      {"{\"id\":\"a\"}\n", "without an index"},
      {"{\"id\":\"b\",\"index\":1}\n", "expected sample 0"},
      {"{\"id\":\"z\",\"error\":\"e\"}\n", "names no line"},
      {"{\"text\":\"x\"}\n", "without an id"},
      {"17\n", "expected an object"},
      {"\n", "not JSON"},
      {"root:x:0:0\n", "not JSON"},
      {"a diary without a newline", "no record"},
  };
  for (const auto& c : cases) {
    WriteText(folder.File("out"), c.content);
    const absl::Status status = FinishFile(folder.File("out"), lines);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.content;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.named));
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder.File("out")));
    EXPECT_EQ(ReadText(folder.File("out")), c.content);
  }
}

TEST(AnswerFileTest, OnlyOneRunAtATimeHasTheFile) {
  ScratchFolder folder;
  {
    const auto first = AnswerFile::Open(folder.File("out"));
    ASSERT_TRUE(first.ok());
    std::filesystem::create_hard_link(folder.File("out"), folder.File("link"));
    for (const char* name : {"out", "link"}) {
      const absl::Status second = AnswerFile::Open(folder.File(name)).status();
      EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(second.message()), HasSubstr("another run"));
    }
  }
  EXPECT_TRUE(AnswerFile::Open(folder.File("out")).ok());
}

TEST(AnswerFileTest, TheLockIsHeldAfterErrorRecordsWereTakenOut) {
  ScratchFolder folder;
  std::vector<InputLine> lines = Lines(kInput);
  WriteText(folder.File("out"), "{\"id\":\"b\",\"line\":2,\"error\":\"e\"}\n");
  auto file = AnswerFile::Open(folder.File("out"));
  ASSERT_TRUE(file->FindAnswered(lines).ok());
  ASSERT_TRUE(file->Begin().ok());
  EXPECT_FALSE(AnswerFile::Open(folder.File("out")).ok());
}

TEST(AnswerFileTest, AWriteThatFailsLeavesWholeAnswersAndSaysWhy) {
  ScratchFolder folder;
  const std::vector<InputLine> lines = Lines(kInput);
  const std::string path = folder.File("out");
  std::string whole;
  for (const InputLine& line : lines) whole += Records(line);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit full = before;
  full.rlim_cur = Records(lines[0]).size() + 7;
  setrlimit(RLIMIT_FSIZE, &full);
  const absl::Status status = FinishFile(path, lines);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::strerror(EFBIG)));
  EXPECT_EQ(ReadText(path), Records(lines[0]));
  EXPECT_TRUE(FinishFile(path, lines).ok());
  EXPECT_EQ(ReadText(path), whole);
}

TEST(AnswerFileTest, WhatCannotBeResumedSaysSo) {
  std::vector<InputLine> lines;
  auto null = AnswerFile::Open("/dev/null");
  ASSERT_TRUE(null.ok());
  EXPECT_THAT(std::string(null->FindAnswered(lines).message()), HasSubstr("regular file"));
  EXPECT_EQ(AnswerFile::Open("/").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AnswerFile::Open("/nowhere/out").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sdar
