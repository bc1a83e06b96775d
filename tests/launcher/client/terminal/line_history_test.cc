// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/line_history.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/stat.h>

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LineHistoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "sdar-history-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "state" / "sdar" / "client_history";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void WriteFile(const std::string& text) const {
    std::filesystem::create_directories(path_.parent_path());
    std::ofstream(path_) << text;
  }
  std::string FileText() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(LineHistoryTest, LinesComeBackAsTheyWere) {
  LineHistory first(path_);
  EXPECT_TRUE(first.Add("one"));
  EXPECT_TRUE(first.Add("two\nlines of \u6f22\u0301"));
  const LineHistory second(path_);
  EXPECT_THAT(second.lines(), ElementsAre("one", "two\nlines of \u6f22\u0301"));
}

TEST_F(LineHistoryTest, OthersMayNotReadIt) {
  WriteFile("");
  std::filesystem::permissions(path_, std::filesystem::perms::all);
  LineHistory(path_).Add("secret");
  struct stat about {};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777u, 0600u);
}

TEST_F(LineHistoryTest, EmptyRepeatedAndVeryLongLinesAreNotKept) {
  LineHistory history(path_);
  EXPECT_FALSE(history.Add(""));
  EXPECT_TRUE(history.Add("a"));
  EXPECT_FALSE(history.Add("a"));
  EXPECT_FALSE(history.Add(std::string(LineHistory::kMaxLineBytes + 1, 'x')));
  EXPECT_THAT(history.lines(), ElementsAre("a"));
}

TEST_F(LineHistoryTest, WhatIsNoLineInTheFileIsPassedOver) {
  WriteFile("\"a\"\nno JSON\n[1]\n\xff\xfe\n\"b\"\n\"cut");
  EXPECT_THAT(LineHistory(path_).lines(), ElementsAre("a", "b"));
}

TEST_F(LineHistoryTest, FileThatHasGrownKeepsItsNewestLines) {
  std::string text;
  for (size_t i = 0; i < 3 * LineHistory::kMaxLines; ++i) text += "\"" + std::to_string(i) + "\"\n";
  WriteFile(text);
  const LineHistory history(path_);
  EXPECT_EQ(history.lines().size(), LineHistory::kMaxLines);
  EXPECT_EQ(history.lines().back(), std::to_string(3 * LineHistory::kMaxLines - 1));
  EXPECT_LT(FileText().size(), text.size() / 2);
  EXPECT_EQ(LineHistory(path_).lines(), history.lines());
}

TEST_F(LineHistoryTest, OnlyTheEndOfAHugeFileIsRead) {
  WriteFile("\"" + std::string(2 * LineHistory::kMaxFileBytes, 'x') + "\"\n\"last\"\n");
  EXPECT_THAT(LineHistory(path_).lines(), ElementsAre("last"));
  EXPECT_EQ(FileText(), "\"last\"\n");
}

TEST_F(LineHistoryTest, FileThatIsNoFileIsLeftAlone) {
  std::filesystem::create_directories(path_.parent_path());
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  LineHistory history(path_);
  EXPECT_THAT(history.lines(), IsEmpty());
  EXPECT_TRUE(history.Add("a"));
}

TEST_F(LineHistoryTest, PathFollowsTheVariablesOfTheUsersFolders) {
  setenv("HOME", "/home/x", 1);
  unsetenv("XDG_STATE_HOME");
  EXPECT_EQ(LineHistory::DefaultPath(), "/home/x/.local/state/sdar/client_history");
  setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_EQ(LineHistory::DefaultPath(), "/home/x/.local/state/sdar/client_history");
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(LineHistory::DefaultPath(), "/state/sdar/client_history");
  unsetenv("XDG_STATE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(LineHistory::DefaultPath(), "");
}

}  // namespace
}  // namespace sdar
