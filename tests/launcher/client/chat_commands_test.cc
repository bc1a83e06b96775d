// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_commands.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

auto IsRefused(const std::string& why) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why));
}

ChatCommand CommandOf(const std::string& line) {
  const absl::StatusOr<ChatCommand> command = ParseChatLine(line);
  EXPECT_THAT(command, IsOk()) << line;
  return command.value_or(ChatCommand{});
}

TEST(ChatCommandsTest, LineWithoutASlashIsAMessageAsItIs) {
  EXPECT_EQ(CommandOf(" two\nlines ").verb, ChatVerb::kSay);
  EXPECT_EQ(CommandOf(" two\nlines ").argument, " two\nlines ");
  EXPECT_EQ(CommandOf(" \t\n").verb, ChatVerb::kNothing);
}

TEST(ChatCommandsTest, TwoSlashesBeginAMessageWithOne) {
  EXPECT_EQ(CommandOf("//etc/passwd?").verb, ChatVerb::kSay);
  EXPECT_EQ(CommandOf("//etc/passwd?").argument, "/etc/passwd?");
}

TEST(ChatCommandsTest, CommandHasWhatFollowsItsName) {
  EXPECT_EQ(CommandOf("/system  be\nbrief ").verb, ChatVerb::kSystem);
  EXPECT_EQ(CommandOf("/system  be\nbrief ").argument, "be\nbrief");
  EXPECT_EQ(CommandOf("/set").argument, "");
}

TEST(ChatCommandsTest, WhatCannotBeObeyedIsNamed) {
  EXPECT_THAT(ParseChatLine("/foo bar"), IsRefused("/foo"));
  EXPECT_THAT(ParseChatLine("/ "), IsRefused("/help"));
  EXPECT_THAT(ParseChatLine("/save"), IsRefused("expected FILE"));
  EXPECT_THAT(ParseChatLine("/quit now"), IsRefused("got 'now'"));
}

TEST(ChatCommandsTest, HelpFitsATerminalOfEightyColumns) {
  const std::string help = DescribeCommands();
  for (size_t begin = 0; begin < help.size(); begin = help.find('\n', begin) + 1) {
    EXPECT_LE(help.find('\n', begin) - begin, 80u) << help.substr(begin, 100);
  }
}

}  // namespace
}  // namespace sdar
