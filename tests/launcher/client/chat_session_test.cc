// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_session.h"

#include <deque>
#include <sstream>
#include <utility>

#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include <unistd.h>

#include "tests/fakes/fake_generation_service.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using sdar::v1::Finished;
using sdar::v1::GenerateRequest;
using sdar::v1::GenerateResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

GenerateResponse DeltaOf(const std::string& text) {
  GenerateResponse response;
  response.mutable_delta()->set_text(text);
  return response;
}

GenerateResponse FinishedAnswer() {
  GenerateResponse response;
  response.mutable_finished()->set_reason(Finished::STOP);
  return response;
}

// Lines that a test has written down.
class WrittenLines final : public LineReader {
 public:
  InputLine Next() override {
    if (lines.empty()) return {InputLine::Kind::kEnd, ""};
    InputLine line = std::move(lines.front());
    lines.pop_front();
    return line;
  }
  void Remember(const std::string& line) override { remembered.push_back(line); }

  std::deque<InputLine> lines;
  std::vector<std::string> remembered;
};

// Interrupts comes first: the fake's threads must inherit the blocked signals.
class ChatSessionTest : public ::testing::Test {
 protected:
  // Says these lines to the service.
  void Chat(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) lines_.lines.push_back({InputLine::Kind::kText, line});
    Run();
  }

  void Run() {
    if (service_.address().empty()) service_.Start();
    options_.statistics = false;
    Client client = ClientOf(service_.address());
    ChatSession session(options_, MakeRequest(options_).value(), client, lines_, out_, err_);
    session.Run();
    all_answered_ = session.all_answered();
  }

  Client ClientOf(const std::string& address) {
    return Client(options_, grpc::CreateChannel(address, grpc::InsecureChannelCredentials()),
                  interrupts_, {out_, err_});
  }

  std::vector<std::string> LastTurns() const {
    const GenerateRequest request = service_.last_request();
    std::vector<std::string> out;
    for (const auto& turn : request.chat().messages()) out.push_back(turn.content());
    return out;
  }

  Interrupts interrupts_;
  FakeGenerationService service_;
  ClientOptions options_;
  WrittenLines lines_;
  std::ostringstream out_;
  std::ostringstream err_;
  bool all_answered_ = false;
};

TEST_F(ChatSessionTest, GreetingSaysWhatTheServerRuns) {
  service_.model.set_model("tiny\x1b[2J");
  service_.model.set_block_length(4);
  service_.Start();
  Client client = ClientOf(service_.address());
  EXPECT_THAT(Greet(client, out_), IsOk());
  EXPECT_THAT(out_.str(), HasSubstr("tiny\uFFFD[2J, block length 4"));
}

TEST_F(ChatSessionTest, AbsentServerIsNotGreeted) {
  Client client = ClientOf("127.0.0.1:1");
  EXPECT_THAT(Greet(client, out_), StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ChatSessionTest, QuestionCarriesTheConversation) {
  options_.system = "brief";
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  Chat({"one", "two"});
  EXPECT_TRUE(all_answered_);
  EXPECT_THAT(LastTurns(), ElementsAre("brief", "one", "yes", "two"));
  EXPECT_THAT(lines_.remembered, ElementsAre("one", "two"));
}

TEST_F(ChatSessionTest, FailedAnswerWithTextIsKept) {
  service_.script = {DeltaOf("half")};
  service_.end = {grpc::StatusCode::UNAVAILABLE, "a rank was lost"};
  Chat({"one", "two"});
  EXPECT_THAT(LastTurns(), ElementsAre("one", "half", "two"));
  EXPECT_THAT(err_.str(), HasSubstr("what came is kept"));
  EXPECT_FALSE(all_answered_);
}

TEST_F(ChatSessionTest, QuestionWithoutAnswerIsTakenOutAndThatIsSaid) {
  service_.end = {grpc::StatusCode::UNAVAILABLE, "a rank was lost"};
  Chat({"one", "two"});
  EXPECT_THAT(LastTurns(), ElementsAre("two"));
  EXPECT_THAT(err_.str(), HasSubstr("the question is out of the conversation"));
}

TEST_F(ChatSessionTest, UnknownCommandIsNamedAndNotSent) {
  Chat({"/foo"});
  EXPECT_THAT(err_.str(), HasSubstr("no command /foo"));
  EXPECT_FALSE(service_.last_request().has_chat());
}

TEST_F(ChatSessionTest, NothingIsReadAfterQuit) {
  Chat({"/quit", "one"});
  EXPECT_EQ(lines_.lines.size(), 1u);
}

TEST_F(ChatSessionTest, FieldsOfTheRequestCanBeSetAndLeftToTheServerAgain) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  options_.fields["top_k"] = {"3"};
  Chat({"/set temperature 0.5", "/set top-k", "one"});
  EXPECT_FLOAT_EQ(service_.last_request().sampling().temperature(), 0.5f);
  EXPECT_FALSE(service_.last_request().sampling().has_top_k());
}

TEST_F(ChatSessionTest, FieldThatCannotBeSetKeepsItsValue) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  Chat({"/set n 2", "/set n x", "/set ignore_eos maybe", "/set bogus 1", "one"});
  EXPECT_EQ(service_.last_request().sampling().n(), 2u);
  EXPECT_THAT(err_.str(), HasSubstr("n: expected 0 .. 4294967295, got 'x'"));
  EXPECT_THAT(err_.str(), HasSubstr("ignore_eos: expected true or false, got 'maybe'"));
  EXPECT_THAT(err_.str(), HasSubstr("no field bogus"));
}

TEST_F(ChatSessionTest, WatchingSeveralSamplesIsRefusedInTheChatToo) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  options_.watch = true;
  Chat({"/set n 2", "one"});
  EXPECT_THAT(err_.str(), HasSubstr("--watch shows one sample"));
  EXPECT_TRUE(service_.last_request().output().provisional());
  EXPECT_FALSE(service_.last_request().sampling().has_n());
}

TEST_F(ChatSessionTest, BareSetListsTheFields) {
  Chat({"/set temperature 0.25", "/set"});
  EXPECT_THAT(out_.str(), HasSubstr("temperature            0.25"));
  EXPECT_THAT(out_.str(), HasSubstr("denoising_steps        -"));
}

TEST_F(ChatSessionTest, RetryAsksTheSameAgain) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  Chat({"/retry", "one", "/retry"});
  EXPECT_TRUE(service_.WaitForCalls(2));
  EXPECT_THAT(LastTurns(), ElementsAre("one"));
  EXPECT_THAT(err_.str(), HasSubstr("there is no question yet"));
}

TEST_F(ChatSessionTest, SavedConversationCanBeLoaded) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  const std::string path = ::testing::TempDir() + "sdar-saved-" + std::to_string(getpid());
  Chat({"/system brief", "one", "/save " + path});
  Chat({"/load " + path, "two"});
  EXPECT_THAT(LastTurns(), ElementsAre("brief", "one", "yes", "two"));
  unlink(path.c_str());
}

TEST_F(ChatSessionTest, InterruptAtThePromptSaysHowToLeave) {
  lines_.lines = {{InputLine::Kind::kInterrupt, ""}, {InputLine::Kind::kCleared, ""}};
  Run();
  EXPECT_EQ(err_.str(), "Ctrl-D or /quit ends\n");
}

TEST_F(ChatSessionTest, ToolsAnswerIsATurnOfTheTool) {
  service_.script = {DeltaOf("yes"), FinishedAnswer()};
  Chat({"one", "/tool 21 degrees"});
  EXPECT_EQ(service_.last_request().chat().messages(2).role(), "tool");
}

}  // namespace
}  // namespace sdar
