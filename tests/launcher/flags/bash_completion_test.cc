// SPDX-License-Identifier: Apache-2.0
// The completion, as bash runs it.
#include "launcher/flags/bash_completion.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <stdlib.h>

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class BashCompletionTest : public testing::Test {
 protected:
  BashCompletionTest() {
    spec_.program = "sdar-test";
    spec_.positional = "model";
    spec_.Group("Flags")("model", TextFlag(&text_, "DIR"), "")(
        "input", TextFlag(&text_, "-|FILE"), "")("drafts", TextFlag(&text_, "auto|off|N"), "")(
        "host", TextFlag(&text_, "HOST"), "")("fast", SwitchFlag(&fast_), "")("help", "");
    std::string pattern = ::testing::TempDir() + "sdar-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(folder_ + "/models");
    std::ofstream(folder_ + "/my questions") << "{}";
  }
  ~BashCompletionTest() override { std::filesystem::remove_all(folder_); }

  // What bash offers for the last of the words, which stand as bash splits them.
  std::vector<std::string> Offers(const std::string& words) {
    std::ofstream(folder_ + "/.completion") << BashCompletion(spec_);
    const std::string command =
        absl::StrCat("cd '", folder_, "' && bash -uc '. ./.completion; COMP_WORDS=(sdar-test ",
                     words, "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sdar_test; ",
                     "((${#COMPREPLY[@]} == 0)) || printf \"%s\\n\" \"${COMPREPLY[@]}\"' 2>&1");
    FILE* const bash = popen(command.c_str(), "r");
    std::string output;
    for (int c = 0; (c = std::fgetc(bash)) != EOF;) output += static_cast<char>(c);
    EXPECT_EQ(pclose(bash), 0) << output;
    return absl::StrSplit(output, '\n', absl::SkipEmpty());
  }

  FlagSpec spec_;

 private:
  std::string folder_;
  std::string text_;
  bool fast_ = false;
};

TEST_F(BashCompletionTest, FlagsAreCompletedUpToTheirValue) {
  EXPECT_THAT(Offers("--ho"), ElementsAre("--host="));
  EXPECT_THAT(Offers("--h"), UnorderedElementsAre("--host=", "--help"));
  EXPECT_THAT(Offers("--f"), ElementsAre("--fast"));
  EXPECT_THAT(Offers("--nothing"), IsEmpty());
}

TEST_F(BashCompletionTest, WordsAreOfferedBehindTheSignAndAsTheNextWord) {
  EXPECT_THAT(Offers("--drafts ="), ElementsAre("auto", "off"));
  EXPECT_THAT(Offers("--drafts = o"), ElementsAre("off"));
  EXPECT_THAT(Offers("--drafts au"), ElementsAre("auto"));
}

TEST_F(BashCompletionTest, PathsAreOfferedWhereAFlagTakesOne) {
  EXPECT_THAT(Offers("--input = m"), UnorderedElementsAre("my questions", "models"));
  EXPECT_THAT(Offers("--model = m"), ElementsAre("models"));
  EXPECT_THAT(Offers("--host = m"), IsEmpty());
}

TEST_F(BashCompletionTest, AWordWithoutAFlagIsThePositionalFlags) {
  EXPECT_THAT(Offers("m"), ElementsAre("models"));
  EXPECT_THAT(Offers("--fast m"), ElementsAre("models"));
  EXPECT_THAT(Offers("--fast = t"), ElementsAre("true"));
}

TEST_F(BashCompletionTest, CommandsAreOffered) {
  spec_.commands = {{"inspect DIR", ""}, {"mend DIR", ""}};
  EXPECT_THAT(Offers("m"), UnorderedElementsAre("mend", "models"));
}

TEST_F(BashCompletionTest, ACommandLineOfAnotherProgramIsLeftToItsOwn) {
  spec_.runs_command = true;
  EXPECT_THAT(Offers("-- other --ho"), IsEmpty());
  EXPECT_THAT(Offers("--ho"), ElementsAre("--host="));
}

}  // namespace
}  // namespace sdar
