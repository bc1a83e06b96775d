// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <sstream>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"

namespace sdar {
namespace {

using ::testing::EndsWith;
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

TEST(LogTest, WhatIsBelowTheLevelIsNotLogged) {
  KeptLog log(OnRank(0, 1, LogFormat::kJson));
  log.logger().set_level(spdlog::level::warn);
  LogEvent(log.logger(), spdlog::level::info, "quiet", {{"a", 1}});
  log.logger().warn("loud");
  EXPECT_EQ(log.Object()["message"], "loud");
}

}  // namespace
}  // namespace sdar
