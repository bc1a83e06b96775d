// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/plain_lines.h"

#include <csignal>
#include <sstream>
#include <thread>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include <unistd.h>

namespace sdar {
namespace {

using Kind = InputLine::Kind;

class PlainLinesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe(ends_), 0);
    interrupts_.KeepEvents();
  }
  void TearDown() override {
    close(ends_[0]);
    if (!closed_) close(ends_[1]);
  }
  void Type(absl::string_view bytes) {
    ASSERT_EQ(write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void EndInput() {
    closed_ = true;
    close(ends_[1]);
  }

  Interrupts interrupts_;
  int ends_[2] = {};
  bool closed_ = false;
  std::ostringstream out_;
};

TEST_F(PlainLinesTest, LineIsAMessageAndTheEndIsTold) {
  PlainLines lines(ends_[0], true, interrupts_, out_);
  Type("one\n\ntw\u00f6");
  EndInput();
  EXPECT_EQ(lines.Next().text, "one");
  EXPECT_EQ(lines.Next().text, "");
  EXPECT_EQ(lines.Next().text, "tw\u00f6");
  EXPECT_EQ(lines.Next().kind, Kind::kEnd);
  EXPECT_EQ(out_.str(), "> one\n> \n> tw\u00f6\n");
}

TEST_F(PlainLinesTest, TerminalEchoesByItself) {
  PlainLines lines(ends_[0], false, interrupts_, out_);
  Type("one\n");
  EXPECT_EQ(lines.Next().text, "one");
  EXPECT_EQ(out_.str(), "> ");
}

TEST_F(PlainLinesTest, BytesThatAreNotUtf8AreReplaced) {
  PlainLines lines(ends_[0], false, interrupts_, out_);
  Type("a\xff\xe4x\n\xe6\xbc");
  EndInput();
  EXPECT_EQ(lines.Next().text, "a\uFFFD\uFFFDx");
  EXPECT_EQ(lines.Next().text, "\uFFFD");
}

TEST_F(PlainLinesTest, InterruptIsTold) {
  PlainLines lines(ends_[0], false, interrupts_, out_);
  kill(getpid(), SIGINT);
  EXPECT_EQ(lines.Next().kind, Kind::kInterrupt);
  Type("after\n");
  EXPECT_EQ(lines.Next().text, "after");
}

TEST_F(PlainLinesTest, LineThatIsTooLongIsThrownAwayWhole) {
  PlainLines lines(ends_[0], false, interrupts_, out_);
  std::thread writer([this] {
    Type(std::string(kMaxLineBytes + 1, 'x'));
    Type("\nshort\n");
  });
  EXPECT_EQ(lines.Next().kind, Kind::kTooLong);
  EXPECT_EQ(lines.Next().text, "short");
  writer.join();
}

}  // namespace
}  // namespace sdar
