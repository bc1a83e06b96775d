// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"
#include <fcntl.h>
#include <unistd.h>

namespace sdar {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// A logger that keeps what it would print.
class KeptLog {
 public:
  explicit KeptLog(const LogOptions& options)
      : logger_("test", std::make_shared<spdlog::sinks::ostream_sink_st>(out_)) {
    logger_.set_formatter(MakeLogFormatter(options));
  }
  spdlog::logger& logger() { return logger_; }
  // The only line.
  std::string Line() {
    const std::string text = std::exchange(out_, std::ostringstream()).str();
    EXPECT_THAT(text, EndsWith("\n"));
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    return text.substr(0, text.size() - 1);
  }
  Json Object() {
    const std::string line = Line();
    auto object = ParseJson(line, "line", 64, /*unique_keys=*/true);
    EXPECT_TRUE(object.ok()) << line;
    return object.value_or(Json::object());
  }

 private:
  std::ostringstream out_;
  spdlog::logger logger_;
};

LogOptions OnRank(int rank, int num_ranks, LogFormat format) {
  LogOptions options;
  options.rank = rank;
  options.num_ranks = num_ranks;
  options.format = format;
  return options;
}

TEST(LogTest, TextNamesTheRankWhereThereAreSeveral) {
  KeptLog alone(OnRank(0, 1, LogFormat::kText));
  alone.logger().warn("the message");
  EXPECT_THAT(alone.Line(), MatchesRegex("[0-9-]+T[0-9:.]+ warning the message"));
  KeptLog third(OnRank(3, 4, LogFormat::kText));
  third.logger().info("the message");
  EXPECT_THAT(third.Line(), MatchesRegex("[0-9-]+T[0-9:.]+ info \\[rank 3\\] the message"));
}

TEST(LogTest, TextHasFieldsBehindTheMessageAndQuotesWhatIsNoWord) {
  KeptLog log(OnRank(0, 1, LogFormat::kText));
  LogEvent(log.logger(), spdlog::level::info, "it ended",
           {{"request_id", "r-1"}, {"other", "two words"}, {"empty", ""}, {"count", 3}});
  EXPECT_THAT(log.Line(),
              EndsWith("info it ended request_id=r-1 other=\"two words\" empty=\"\" count=3"));
}

TEST(LogTest, JsonIsOneObjectALineWithTheTimeInUtc) {
  KeptLog log(OnRank(3, 4, LogFormat::kJson));
  log.logger().error("the message");
  const Json line = log.Object();
  EXPECT_THAT(line["time"].get<std::string>(),
              MatchesRegex("20[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9][0-9][0-9]Z"));
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["rank"], 3);
  EXPECT_FALSE(line["host"].get<std::string>().empty());
  EXPECT_EQ(line["message"], "the message");
  EXPECT_EQ(line.size(), 5u);
}

TEST(LogTest, JsonIsValidWhateverAMessageHolds) {
  KeptLog log(OnRank(0, 1, LogFormat::kJson));
  const std::string control = "a\nb\t\"c\"\\ \x01 {\"message\": 1}";
  log.logger().info("{}", control);
  EXPECT_EQ(log.Object()["message"], control);
  log.logger().info("{}", "bytes \xff\xfe that are no text");
  EXPECT_EQ(log.Object()["message"], "bytes \xEF\xBF\xBD\xEF\xBF\xBD that are no text");
  LogEvent(log.logger(), spdlog::level::info, control, {{"request_id", "\xff\n\""}});
  const Json event = log.Object();
  EXPECT_EQ(event["message"], control);
  EXPECT_EQ(event["request_id"], "\xEF\xBF\xBD\n\"");
}

TEST(LogTest, JsonHasFieldsAsMembers) {
  KeptLog log(OnRank(0, 1, LogFormat::kJson));
  LogEvent(log.logger(), spdlog::level::info, "it ended",
           {{"request_id", "r-1"}, {"finish_reasons", {"stop", "length"}}, {"total_ms", 1.5}});
  const Json line = log.Object();
  EXPECT_EQ(line["message"], "it ended");
  EXPECT_EQ(line["request_id"], "r-1");
  EXPECT_EQ(line["finish_reasons"][1], "length");
  EXPECT_EQ(line["total_ms"], 1.5);
}

TEST(LogTest, TextMessagesCannotForgeLines) {
  KeptLog log(OnRank(0, 1, LogFormat::kText));
  const std::string forged = "zz\n2026-01-01T00:00:00.000 error owned\x1b[2J \xE2\x80\xA8 \xff";
  log.logger().warn("{}", forged);
  EXPECT_THAT(log.Line(), EndsWith("warning zz\\n2026-01-01T00:00:00.000 error owned\\x1b[2J "
                                   "\\u2028 \\xff"));
  LogEvent(log.logger(), spdlog::level::info, forged, {{"other", forged}});
  EXPECT_THAT(log.Line(), HasSubstr("info zz\\n2026"));
}

TEST(LogTest, JsonLinesHoldNoLineEndOfUnicode) {
  KeptLog log(OnRank(0, 1, LogFormat::kJson));
  log.logger().warn("a\xC2\x85\xE2\x80\xA8\x7f");
  const std::string line = log.Line();
  EXPECT_THAT(line, HasSubstr("a\\u0085\\u2028\\u007f"));
}

TEST(LogTest, LongMessagesAndFieldsAreCutAndSaySo) {
  const std::string message(100'000, 'x');
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    KeptLog log(OnRank(0, 1, format));
    log.logger().warn("{}", message);
    std::string line = log.Line();
    EXPECT_LT(line.size(), kMaxLogMessageBytes + 300);
    EXPECT_THAT(line, HasSubstr("x... (cut: 100000 bytes)"));
    LogEvent(log.logger(), spdlog::level::info, message, {{"request_id", message}, {"n", 3}});
    line = log.Line();
    EXPECT_LT(line.size(), 2 * kMaxLogMessageBytes + 600);
    EXPECT_THAT(line, HasSubstr("3"));
    LogEvent(log.logger(), spdlog::level::info, "short",
             {{"list", std::vector<std::string>(10'000, "many words")}});
    EXPECT_LT(log.Line().size(), 1000u);
  }
}

TEST(LogTest, AFinishedLineIsWrittenAsItIs) {
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    KeptLog log(OnRank(0, 1, format));
    log.logger().set_level(spdlog::level::err);
    LogFinishedLine(log.logger(), "{\"a\": 1}\x1b");
    EXPECT_EQ(log.Line(), "{\"a\": 1}\\x1b");
  }
}

TEST(LogTest, OwnLinesAreKnownInBothFormats) {
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    KeptLog log(OnRank(1, 2, format));
    log.logger().warn("the message");
    EXPECT_TRUE(IsLogLine(log.Line()));
    LogEvent(log.logger(), spdlog::level::info, "event", {{"a", "b"}});
    EXPECT_TRUE(IsLogLine(log.Line()));
  }
  for (const char* line :
       {"", "warning", "{}", "{\"time\": 1}", "[1]", "2026-01-01T00:00:00.000 ",
        "2026-01-01T00:00:00.000 forged line", "2026-01-01 00:00:00.000 info a"}) {
    EXPECT_FALSE(IsLogLine(line)) << line;
  }
}

TEST(LogTest, LinesThatNobodyReadsAreDroppedAndReportedInTheLogsOwnForm) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  LogOptions options = OnRank(0, 1, LogFormat::kJson);
  spdlog::logger logger("test", MakeLogSink(ends[1], options));
  const std::string message(10'000, 'x');
  for (int i = 0; i < 1000; ++i) logger.info("{}", message);
  std::string text;
  char buffer[65536];
  while (text.find('\n', text.find("dropped")) == std::string::npos) {
    const ssize_t size = read(ends[0], buffer, sizeof buffer);
    ASSERT_GT(size, 0);
    text.append(buffer, static_cast<size_t>(size));
  }
  logger.flush();
  const size_t begin = text.rfind('\n', text.find("dropped")) + 1;
  const std::string line = text.substr(begin, text.find('\n', begin) - begin);
  EXPECT_TRUE(IsLogLine(line)) << line;
  EXPECT_THAT(line, HasSubstr("log lines were dropped: standard error was not read"));
  close(ends[0]);
}

TEST(LogTest, WhatIsBelowTheLevelIsNotLogged) {
  KeptLog log(OnRank(0, 1, LogFormat::kJson));
  log.logger().set_level(spdlog::level::warn);
  LogEvent(log.logger(), spdlog::level::info, "quiet", {{"a", 1}});
  log.logger().warn("loud");
  EXPECT_EQ(log.Object()["message"], "loud");
}

}  // namespace
}  // namespace sdar
