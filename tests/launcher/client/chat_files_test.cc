// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Chat;
using sdar::v1::ChatMessage;
using ::testing::AllOf;
using ::testing::HasSubstr;

auto FileIsRefused(const std::string& why) {
  return StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("file"), HasSubstr(why)));
}

class ChatFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "sdar-chat-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "file";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The path of a file with this text.
  std::string FileOf(const std::string& text) const {
    std::ofstream(path_) << text;
    return path_;
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(ChatFilesTest, WhatIsWrittenIsReadAgain) {
  Chat chat;
  ChatMessage& question = *chat.add_messages();
  question.set_role("user");
  question.set_content("\"a\"\n\u6f22");
  ChatMessage& call = *chat.add_messages();
  call.set_role("assistant");
  call.set_reasoning_content("thought");
  call.set_tool_calls_json(R"([{"function":{"name":"f"}}])");
  ASSERT_THAT(WriteMessages(chat, path_), IsOk());
  SDAR_ASSERT_OK_AND_ASSIGN(const Chat again, ReadMessages(path_));
  EXPECT_EQ(again.SerializeAsString(), chat.SerializeAsString());
}

TEST_F(ChatFilesTest, EmptyConversationIsAListToo) {
  ASSERT_THAT(WriteMessages(Chat(), path_), IsOk());
  SDAR_ASSERT_OK_AND_ASSIGN(const Chat again, ReadMessages(path_));
  EXPECT_EQ(again.messages_size(), 0);
}

TEST_F(ChatFilesTest, FolderThatIsNotThereIsAnError) {
  const absl::Status status = WriteMessages(Chat(), folder_ / "absent" / "file");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown, HasSubstr("No such file")));
}

TEST_F(ChatFilesTest, MessagesThatAreNoneAreNamed) {
  EXPECT_THAT(ReadMessages(FileOf("{}")), FileIsRefused("expected a list"));
  EXPECT_THAT(ReadMessages(FileOf("[")), FileIsRefused("JSON"));
  EXPECT_THAT(ReadMessages(FileOf(R"([{"role": "user"}, 7])")),
              FileIsRefused("entry 2: expected an object"));
  EXPECT_THAT(ReadMessages(FileOf(R"([{"content": "a"}])")),
              FileIsRefused("entry 1: expected a 'role'"));
  EXPECT_THAT(ReadMessages(FileOf(R"([{"role": "user", "content": 7}])")),
              FileIsRefused("'content'"));
  EXPECT_THAT(ReadMessages(FileOf(R"([{"role": "user", "tool_calls": "x"}])")),
              FileIsRefused("'tool_calls'"));
}

TEST_F(ChatFilesTest, ToolsAreFunctionsWithNames) {
  const std::string tools = R"([{"type":"function","function":{"name":"f","parameters":{}}}])";
  SDAR_ASSERT_OK_AND_ASSIGN(const std::string read, ReadTools(FileOf(tools)));
  EXPECT_EQ(read, tools);
  EXPECT_THAT(ReadTools(FileOf(R"([{"name": "f"}])")), FileIsRefused("entry 1: expected a tool"));
  EXPECT_THAT(ReadTools(FileOf(R"([{"function": {"name": 7}}])")), FileIsRefused("entry 1"));
  EXPECT_THAT(ReadTools(folder_ / "absent"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

}  // namespace
}  // namespace sdar
