// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/conversation.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using Kept = Conversation::Kept;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> TurnsOf(const Conversation& conversation) {
  std::vector<std::string> out;
  for (const sdar::v1::ChatMessage& turn : conversation.request().chat().messages()) {
    out.push_back(absl::StrCat(turn.role(), ": ", turn.content()));
  }
  return out;
}

TEST(ConversationTest, AnswersAreKept) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  EXPECT_EQ(conversation.Answer("b", true), Kept::kAnswer);
  conversation.Ask("tool", "c");
  EXPECT_EQ(conversation.Answer("", true), Kept::kAnswer);
  EXPECT_THAT(TurnsOf(conversation),
              ElementsAre("user: a", "assistant: b", "tool: c", "assistant: "));
}

TEST(ConversationTest, AnswerThatBrokeOffIsKeptAsFarAsItCame) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  EXPECT_EQ(conversation.Answer("half", false), Kept::kAnswer);
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("user: a", "assistant: half"));
}

TEST(ConversationTest, QuestionWithoutAnyAnswerIsTakenOut) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  EXPECT_EQ(conversation.Answer("", false), Kept::kNothing);
  EXPECT_THAT(TurnsOf(conversation), IsEmpty());
}

TEST(ConversationTest, AskingAgainReplacesTheLastAnswer) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  conversation.Answer("b", true);
  ASSERT_TRUE(conversation.AskAgain());
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("user: a"));
  EXPECT_EQ(conversation.Answer("c", true), Kept::kAnswer);
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("user: a", "assistant: c"));
}

TEST(ConversationTest, AskingAgainInVainLeavesTheOldAnswer) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  conversation.Answer("b", true);
  ASSERT_TRUE(conversation.AskAgain());
  EXPECT_EQ(conversation.Answer("", false), Kept::kOldAnswer);
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("user: a", "assistant: b"));
}

TEST(ConversationTest, ThereIsNothingToAskAgainWithoutAQuestion) {
  Conversation conversation({});
  EXPECT_FALSE(conversation.AskAgain());
  conversation.SetSystem("s");
  EXPECT_FALSE(conversation.AskAgain());
  conversation.Answer("hello", true);
  EXPECT_FALSE(conversation.AskAgain());
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("system: s", "assistant: hello"));
}

TEST(ConversationTest, SystemTurnIsFirstAndOutlivesTheOthers) {
  Conversation conversation({});
  conversation.Ask("user", "a");
  conversation.Answer("b", true);
  conversation.SetSystem("s");
  conversation.SetSystem("t");
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("system: t", "user: a", "assistant: b"));
  conversation.Forget();
  EXPECT_THAT(TurnsOf(conversation), ElementsAre("system: t"));
  conversation.SetSystem("");
  EXPECT_THAT(TurnsOf(conversation), IsEmpty());
}

}  // namespace
}  // namespace sdar
