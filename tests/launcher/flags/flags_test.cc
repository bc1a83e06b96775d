// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/flags.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>

namespace sdar {
namespace {

// A program with one flag, which also takes its value without a name.
struct Program {
  std::string model;
  FlagSpec spec;

  Program() {
    spec.program = "sdar-test";
    spec.purpose = "Tests flags.";
    spec.usage = "sdar-test DIR";
    spec.positional = "model";
    spec.options.add_options()("model", TextFlag(&model), "a folder");
  }

  absl::StatusOr<FlagOutcome> Parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), spec.program);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    return ParseFlags(spec, static_cast<int>(pointers.size()), pointers.data());
  }
};

TEST(FlagsTest, TheVersionIsPrinted) {
  Program program;
  testing::internal::CaptureStdout();
  const absl::StatusOr<FlagOutcome> outcome = program.Parse({"--version"});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), absl::StrCat("sdar-test ", Version(), "\n"));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, FlagOutcome::kPrinted);
}

TEST(FlagsTest, TheHelpNamesUsageAndFlags) {
  Program program;
  testing::internal::CaptureStdout();
  ASSERT_TRUE(program.Parse({"--help"}).ok());
  const std::string help = testing::internal::GetCapturedStdout();
  for (const char* part : {"Tests flags.", "Usage: sdar-test DIR", "--model", "--version"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part;
  }
}

TEST(FlagsTest, AnArgumentWithoutANameIsThePositionalFlags) {
  Program program;
  const absl::StatusOr<FlagOutcome> outcome = program.Parse({"models/tiny"});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, FlagOutcome::kRun);
  EXPECT_EQ(program.model, "models/tiny");
}

TEST(FlagsTest, TwoModelsAreRefusedByName) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"a", "b"}, {"--model=a", "b"}, {"--model=a", "--model=b"}}) {
    Program program;
    const absl::StatusOr<FlagOutcome> outcome = program.Parse(arguments);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(outcome.status().message().find("model"), std::string::npos) << outcome.status();
  }
}

TEST(FlagsTest, AnUnknownFlagIsRefusedByName) {
  Program program;
  const absl::StatusOr<FlagOutcome> outcome = program.Parse({"--modle=a"});
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("modle"), std::string::npos) << outcome.status();
}

}  // namespace
}  // namespace sdar
