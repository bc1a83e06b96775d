// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/sinks/stdout_sinks.h"
#include <unistd.h>

namespace sdar {
namespace {

// The source file that messages of LogEvent seem to come from. The payload of those is an object,
// the message among its members; nothing that is logged otherwise can look like one.
constexpr char kEventSource[] = "LogEvent";

bool IsEvent(const spdlog::details::log_msg& message) {
  return message.source.filename == kEventSource;
}

absl::string_view PayloadOf(const spdlog::details::log_msg& message) {
  return {message.payload.data(), message.payload.size()};
}

std::string OwnHostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// A value as it stands in a line of text: strings that could be mistaken for more than one word are
// quoted.
std::string TextOfValue(const Json& value) {
  if (!value.is_string()) return DumpJson(value);
  const auto& text = value.get_ref<const std::string&>();
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '=' && c != '\\';
  });
  return plain ? text : DumpJson(value);
}

std::string TextOfEvent(absl::string_view payload) {
  const absl::StatusOr<Json> event = ParseJson(payload, "event");
  if (!event.ok()) return std::string(payload);
  std::string text;
  for (const auto& [key, value] : event->items()) {
    if (key == "message") {
      text = value.get<std::string>();
    } else {
      absl::StrAppend(&text, " ", key, "=", TextOfValue(value));
    }
  }
  return text;
}

class TextFormatter : public spdlog::formatter {
 public:
  explicit TextFormatter(std::string pattern) : pattern_(std::move(pattern)), lines_(pattern_) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    if (!IsEvent(message)) return lines_.format(message, out);
    const std::string text = TextOfEvent(PayloadOf(message));
    spdlog::details::log_msg line = message;
    line.payload = text;
    lines_.format(line, out);
    message.color_range_start = line.color_range_start;
    message.color_range_end = line.color_range_end;
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextFormatter>(pattern_);
  }

 private:
  std::string pattern_;
  spdlog::pattern_formatter lines_;
};

class JsonFormatter : public spdlog::formatter {
 public:
  explicit JsonFormatter(int rank) : rank_(rank), host_(OwnHostName()) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(message.level);
    Json line = {{"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                                           absl::UTCTimeZone())},
                 {"level", std::string(level.data(), level.size())},
                 {"rank", rank_},
                 {"host", host_}};
    const absl::string_view payload = PayloadOf(message);
    std::string text;
    if (IsEvent(message)) {
      // The members of both objects as those of one.
      text = DumpJson(line);
      text.back() = ',';
      absl::StrAppend(&text, payload.substr(1));
    } else {
      line["message"] = std::string(payload);
      text = DumpJson(line);
    }
    text += '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(*this);
  }

 private:
  int rank_;
  std::string host_;
};

}  // namespace

std::unique_ptr<spdlog::formatter> MakeLogFormatter(const LogOptions& options) {
  if (options.format == LogFormat::kJson) return std::make_unique<JsonFormatter>(options.rank);
  const std::string where =
      options.num_ranks == 1 ? "" : absl::StrCat(" [rank ", options.rank, "]");
  return std::make_unique<TextFormatter>(absl::StrCat("%Y-%m-%dT%H:%M:%S.%e %^%l%$", where, " %v"));
}

void InitLogging(const LogOptions& options) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.format == LogFormat::kJson) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("sdar", std::move(sink));
  logger->set_formatter(MakeLogFormatter(options));
  logger->set_level(options.level);
  spdlog::set_default_logger(std::move(logger));
}

void LogEvent(spdlog::logger& logger, spdlog::level::level_enum level, absl::string_view message,
              const Json& fields) {
  if (!logger.should_log(level)) return;
  Json event = {{"message", std::string(message)}};
  event.update(fields);
  logger.log(spdlog::source_loc(kEventSource, 1, ""), level, DumpJson(event));
}

}  // namespace sdar
