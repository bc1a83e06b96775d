// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/man_page.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

FlagSpec SmallSpec() {
  FlagSpec spec;
  spec.program = "sdar-test";
  spec.purpose = "Tests a page.\nOf two lines, and\n.not of requests.";
  spec.usage = "sdar-test DIR\n       sdar-test --other";
  spec.man.summary = "tests a page";
  return spec;
}

TEST(RoffTextTest, EverythingIsPrintedToTheLetter) {
  EXPECT_EQ(RoffText("plain words"), "plain words");
  EXPECT_EQ(RoffText("--name=C:\\dir"), "\\-\\-name=C:\\edir");
  EXPECT_EQ(RoffText("'a' `b` ~c ^d"), "\\&\\(aqa\\(aq \\(gab\\(ga \\(tic \\(had");
}

TEST(RoffTextTest, ALineIsNoRequest) {
  EXPECT_EQ(RoffText(".SH NAME"), "\\&.SH NAME");
  EXPECT_EQ(RoffText("'br"), "\\&\\(aqbr");
  EXPECT_EQ(RoffText("a .b"), "a .b");
}

TEST(ManPageTest, TheSectionsAreThereInOrder) {
  FlagSpec spec = SmallSpec();
  std::string model;
  spec.Group("Flags")("model", TextFlag(&model, "DIR"), "a folder");
  spec.commands = {{"verify DIR", "checks it"}};
  spec.man.environment = {{"SDAR_TEST", "A variable."}};
  spec.man.files = {{"/etc/sdar/sdar.env", "Settings."}};
  spec.man.see_also = "sdar-serve(1)";
  const std::string page = ManPage(spec, "2026-01-02");
  size_t last = 0;
  for (const char* part :
       {".TH SDAR\\-TEST 1 \"2026-01-02\" \"sdar ", ".SH NAME\nsdar\\-test \\- tests a page\n",
        ".SH SYNOPSIS\n\\fBsdar\\-test\\fR DIR\n.br\n\\fBsdar\\-test\\fR \\-\\-other\n",
        ".SH DESCRIPTION\nTests a page.\nOf two lines, and .not of requests.\n",
        ".SH COMMANDS\n.TP\n\\fBverify DIR\\fR\nchecks it\n",
        ".SH OPTIONS\n.TP\n\\fB\\-\\-model\\fR=\\fIDIR\\fR\na folder\n",
        ".SH EXIT STATUS\n.TP\n\\fB0\\fR\n", "\\fB1\\fR\n", "\\fB2\\fR\n",
        ".SH ENVIRONMENT\n.TP\n\\fBSDAR_TEST\\fR\n", ".SH FILES\n.TP\n\\fB/etc/sdar/sdar.env\\fR\n",
        ".SH SEE ALSO\nsdar\\-serve(1)\n"}) {
    const size_t at = page.find(part, last);
    ASSERT_NE(at, std::string::npos) << part << " in\n" << page;
    last = at;
  }
}

TEST(ManPageTest, SectionsWithoutContentAreLeftOut) {
  const std::string page = ManPage(SmallSpec(), "2026-01-02");
  for (const char* heading : {"COMMANDS", "ENVIRONMENT", "FILES", "SEE ALSO"}) {
    EXPECT_THAT(page, Not(HasSubstr(heading)));
  }
}

TEST(ManPageTest, FlagsStandUnderTheirGroupsWithValuesAndDefaults) {
  FlagSpec spec = SmallSpec();
  int port = 5;
  bool fast = true;
  spec.Group("Addresses")("port", Flag(&port, "PORT"), "to listen on");
  spec.Group("Speed")("fast", SwitchFlag(&fast), ".or not");
  spec.Group("Help")("help,h", "prints this");
  const std::string page = ManPage(spec, "2026-01-02");
  EXPECT_THAT(page, HasSubstr(".SS Addresses\n.TP\n\\fB\\-\\-port\\fR=\\fIPORT\\fR\n"
                              "to listen on (default: 5)\n"));
  EXPECT_THAT(page, HasSubstr(".SS Speed\n.TP\n\\fB\\-\\-fast\\fR[=\\fItrue|false\\fR]\n"
                              "\\&.or not (default: true)\n"));
  EXPECT_THAT(page, HasSubstr(".SS Help\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprints this\n"));
}

TEST(ManPageTest, ExitCodesOfTheProgramFollowThoseOfAll) {
  FlagSpec spec = SmallSpec();
  spec.man.exit_codes = {{"130", "Ctrl-C ended it."}};
  EXPECT_THAT(ManPage(spec, "2026-01-02"), HasSubstr(".TP\n\\fB130\\fR\nCtrl\\-C ended it.\n"));
}

}  // namespace
}  // namespace sdar
