// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/output_relay.h"

#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"
#include <unistd.h>

#include "common/log.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::SizeIs;

constexpr char kOwnText[] = "2026-11-28T01:02:03.004 info [rank 1] serving";
constexpr char kOwnJson[] =
    "{\"host\":\"a\",\"level\":\"info\",\"message\":\"m\",\"rank\":1,\"time\":\"2026\"}";

// Stands in for the program's log.
class OutputRelayTest : public ::testing::Test {
 protected:
  OutputRelayTest() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
    logger->set_formatter(MakeLogFormatter(LogOptions()));
    spdlog::set_default_logger(std::move(logger));
  }
  ~OutputRelayTest() override { spdlog::set_default_logger(before_); }

  std::vector<std::string> Logged() const {
    return absl::StrSplit(out_.str(), '\n', absl::SkipEmpty());
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream out_;
};

void Print(int descriptor, const std::string& text) {
  ASSERT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

TEST_F(OutputRelayTest, LinesOfTheLogAreHandedOnAsTheyAre) {
  OutputLines lines("sdar-serve");
  lines.Add(absl::StrCat(kOwnText, "\n", kOwnJson, "\n"));
  EXPECT_THAT(Logged(), ElementsAre(kOwnText, kOwnJson));
}

TEST_F(OutputRelayTest, OtherLinesBecomeWarningsAndCannotForgeLines) {
  OutputLines lines("sdar-serve");
  lines.Add("mpirun was unable to start\r\n\n   \n\x1b[31mred\x85\n");
  EXPECT_THAT(Logged(), ElementsAre(EndsWith("warning mpirun was unable to start"),
                                    EndsWith("warning \\x1b[31mred\\x85")));
}

TEST_F(OutputRelayTest, TheProgramsLastWordsAreRemembered) {
  OutputLines lines("sdar-serve");
  EXPECT_EQ(lines.last_words(), "");
  lines.Add("sdar-serve: first\nsdar-serve: no such ");
  lines.Add("model\nmpirun: a rank has ended\n----\n");
  EXPECT_EQ(lines.last_words(), "no such model");
}

TEST_F(OutputRelayTest, LinesThatComeInPartsArePutTogether) {
  OutputLines lines("sdar-serve");
  for (const char c : absl::StrCat(kOwnText, "\nthe end")) lines.Add(std::string(1, c));
  EXPECT_THAT(Logged(), ElementsAre(kOwnText));
  lines.End();
  EXPECT_THAT(Logged(), ElementsAre(kOwnText, EndsWith("warning the end")));
}

TEST_F(OutputRelayTest, ALineWithoutEndIsLoggedInParts) {
  OutputLines lines("sdar-serve");
  for (int i = 0; i < 1000; ++i) lines.Add(std::string(1024, 'x'));
  EXPECT_THAT(Logged(), SizeIs(3));  // of 256 KiB each; as much less is still to come
  lines.Add("\nnext\n");
  EXPECT_THAT(Logged().back(), EndsWith("warning next"));
}

TEST_F(OutputRelayTest, NothingIsLostAtTheEnd) {
  auto relay = OutputRelay::Start("sdar-serve");
  ASSERT_TRUE(relay.ok()) << relay.status();
  for (int i = 0; i < 100; ++i) Print((*relay)->writer(), absl::StrCat("line ", i, "\n"));
  Print((*relay)->writer(), "no line end");
  relay->reset();
  ASSERT_THAT(Logged(), SizeIs(101));
  EXPECT_THAT(Logged().back(), EndsWith("warning no line end"));
}

TEST_F(OutputRelayTest, ItsEndDoesNotWaitForWhoeverHoldsThePipeOpen) {
  auto relay = OutputRelay::Start("sdar-serve");
  ASSERT_TRUE(relay.ok()) << relay.status();
  const int left_over = dup((*relay)->writer());
  Print(left_over, "a line\n");
  relay->reset();
  EXPECT_THAT(Logged(), ElementsAre(EndsWith("a line")));
  close(left_over);
}

}  // namespace
}  // namespace sdar
