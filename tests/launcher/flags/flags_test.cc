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
    spec.Group("Flags")("model", TextFlag(&model, "DIR"), "a folder");
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

// What the program prints for these arguments, of which one asks for something to print.
std::string Printed(Program& program, std::vector<std::string> arguments) {
  testing::internal::CaptureStdout();
  const absl::StatusOr<FlagOutcome> outcome = program.Parse(std::move(arguments));
  std::string text = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(outcome.ok() && *outcome == FlagOutcome::kPrinted) << outcome.status();
  return text;
}

TEST(FlagsTest, TheHelpShowsGroupsInOrderEachWithItsFlags) {
  Program program;
  int port = 5;
  std::string level = "info";
  program.spec.Group("Addresses")("port", Flag(&port, "PORT"), "to listen on");
  program.spec.Group("Logs")("log-level", Flag(&level, "info|error"), "how much is said");
  program.spec.Group("Addresses")("host", TextFlag(&program.model, "HOST"), "to listen on");
  const std::string help = Printed(program, {"--help"});
  size_t last = 0;
  for (const char* part :
       {"\nFlags:\n", "--model DIR", "\nAddresses:\n", "--port PORT (=5)", "--host HOST",
        "\nLogs:\n", "--log-level info|error (=info)", "\nHelp:\n", "-h [ --help ]", "--version"}) {
    const size_t at = help.find(part, last);
    ASSERT_NE(at, std::string::npos) << part << " in\n" << help;
    last = at;
  }
}

TEST(FlagsTest, OneGroupHoldsTheHelpToo) {
  Program program;
  const std::string help = Printed(program, {"--help"});
  EXPECT_EQ(help.find("Help:"), std::string::npos) << help;
}

TEST(FlagsTest, TheHelpListsTheCommands) {
  Program program;
  program.spec.commands = {{"verify DIR", "checks it"}};
  EXPECT_NE(Printed(program, {"--help"}).find("\nCommands:\n  verify DIR       checks it\n"),
            std::string::npos);
}

TEST(FlagsTest, FlagsOfAllGroupsAreParsed) {
  Program program;
  int port = 5;
  bool fast = false;
  program.spec.Group("Addresses")("port", Flag(&port), "to listen on");
  program.spec.Group("Speed")("fast", SwitchFlag(&fast), "or not");
  const absl::StatusOr<FlagOutcome> outcome = program.Parse({"--fast", "tiny", "--port=7"});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(program.model, "tiny");
  EXPECT_EQ(port, 7);
  EXPECT_TRUE(fast);
}

TEST(FlagsTest, ManPageAndCompletionArePrintedButNotListed) {
  Program program;
  EXPECT_EQ(Printed(program, {"--man-page=2026-01-02"}).find(".TH SDAR\\-TEST 1 \"2026-01-02\""),
            0);
  Program again;
  EXPECT_NE(Printed(again, {"--bash-completion"}).find("complete -F _sdar_test sdar-test\n"),
            std::string::npos);
  Program third;
  const std::string help = Printed(third, {"--help"});
  EXPECT_EQ(help.find("man-page"), std::string::npos);
  EXPECT_EQ(help.find("bash-completion"), std::string::npos);
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
