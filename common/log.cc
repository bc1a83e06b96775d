// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/sink.h"
#include <unistd.h>

#include "common/line_writer.h"
#include "common/printable.h"
#include "common/shorten.h"

namespace sdar {
namespace {

// The source file that messages of LogEvent seem to come from. The payload of those is an object,
// the message among its members; nothing that is logged otherwise can look like one.
constexpr char kEventSource[] = "LogEvent";

// The same for LogFinishedLine.
constexpr char kLineSource[] = "LogFinishedLine";

// An event without its longest members must fit.
constexpr size_t kMaxEventBytes = 4 * kMaxLogMessageBytes;

constexpr absl::Duration kFlushTimeout = absl::Seconds(1);

bool IsEvent(const spdlog::details::log_msg& message) {
  return message.source.filename == kEventSource;
}

bool IsFinishedLine(const spdlog::details::log_msg& message) {
  return message.source.filename == kLineSource;
}

std::string Cut(absl::string_view text) {
  if (text.size() <= kMaxLogMessageBytes) return std::string(text);
  return absl::StrCat(Shorten(text, kMaxLogMessageBytes), " (cut: ", text.size(), " bytes)");
}

// A finished line as it is written, but for what is unprintable.
void AppendFinished(absl::string_view line, spdlog::memory_buf_t& out) {
  const std::string text = Printable(line) + '\n';
  out.append(text.data(), text.data() + text.size());
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
    if (IsFinishedLine(message)) return AppendFinished(PayloadOf(message), out);
    const std::string text =
        Printable(IsEvent(message) ? TextOfEvent(PayloadOf(message)) : Cut(PayloadOf(message)));
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
    if (IsFinishedLine(message)) return AppendFinished(PayloadOf(message), out);
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
      line["message"] = Cut(payload);
      text = DumpJson(line);
    }
    text = PrintableJson(text) + '\n';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(*this);
  }

 private:
  int rank_;
  std::string host_;
};

// A line that says how many were dropped.
std::string LineOfDropped(spdlog::formatter& formatter, uint64_t num_lines) {
  const std::string text =
      absl::StrCat(num_lines, " log lines were dropped: standard error was not read");
  const spdlog::details::log_msg message("sdar", spdlog::level::warn, text);
  spdlog::memory_buf_t line;
  formatter.format(message, line);
  return {line.data(), line.size()};
}

LineWriterOptions WriterOptions(const LogOptions& options) {
  LineWriterOptions writer;
  writer.close_timeout = kFlushTimeout;
  std::shared_ptr<spdlog::formatter> formatter = MakeLogFormatter(options);
  writer.report = [formatter](uint64_t num_lines) { return LineOfDropped(*formatter, num_lines); };
  return writer;
}

absl::string_view ColourOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return "\033[1m\033[41m";
    case spdlog::level::err:
      return "\033[31m\033[1m";
    case spdlog::level::warn:
      return "\033[33m\033[1m";
    case spdlog::level::info:
      return "\033[32m";
    default:
      return "\033[36m";
  }
}

bool WantsColour(int descriptor, const LogOptions& options) {
  return options.format == LogFormat::kText && isatty(descriptor) != 0;
}

// The calling thread makes the line. Nobody waits here for a reader, or for somebody who flushes.
class LogSink : public spdlog::sinks::sink {
 public:
  LogSink(int descriptor, const LogOptions& options)
      : colour_(WantsColour(descriptor, options)),
        formatter_(MakeLogFormatter(options)),
        writer_(descriptor, WriterOptions(options)) {}

  void log(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    message.color_range_start = message.color_range_end = 0;
    absl::MutexLock lock(&mutex_);
    formatter_->format(message, line);
    const absl::string_view text(line.data(), line.size());
    const size_t begin = message.color_range_start;
    const size_t end = message.color_range_end;
    if (!colour_ || end <= begin) return writer_.Write(text);
    writer_.Write(absl::StrCat(text.substr(0, begin), ColourOf(message.level),
                               text.substr(begin, end - begin), "\033[m", text.substr(end)));
  }
  void flush() override { writer_.Flush(kFlushTimeout); }
  void set_pattern(const std::string& pattern) override {
    set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern));
  }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    absl::MutexLock lock(&mutex_);
    formatter_ = std::move(formatter);
  }

  uint64_t num_dropped() const { return writer_.num_dropped(); }

 private:
  const bool colour_;
  absl::Mutex mutex_;  // keeps lines in the order of their times
  std::unique_ptr<spdlog::formatter> formatter_ ABSL_GUARDED_BY(mutex_);
  LineWriter writer_;
};

// Cuts the strings among fields. What is too long even so is left out.
Json CutFields(const Json& fields) {
  Json cut = Json::object();
  for (const auto& [key, value] : fields.items()) {
    cut[key] = value.is_string() ? Json(Cut(value.get_ref<const std::string&>())) : value;
  }
  const size_t size = DumpJson(cut).size();
  return size <= kMaxEventBytes ? cut : Json{{"fields_cut", absl::StrCat(size, " bytes")}};
}

// Whether a text begins with a time as the text format has it.
bool StartsWithTime(absl::string_view text) {
  constexpr absl::string_view kForm = "0000-00-00T00:00:00.000 ";
  if (text.size() <= kForm.size()) return false;
  return std::equal(kForm.begin(), kForm.end(), text.begin(), [](char form, char c) {
    return form == '0' ? absl::ascii_isdigit(static_cast<unsigned char>(c)) : form == c;
  });
}

}  // namespace

std::unique_ptr<spdlog::formatter> MakeLogFormatter(const LogOptions& options) {
  if (options.format == LogFormat::kJson) return std::make_unique<JsonFormatter>(options.rank);
  const std::string where =
      options.num_ranks == 1 ? "" : absl::StrCat(" [rank ", options.rank, "]");
  return std::make_unique<TextFormatter>(absl::StrCat("%Y-%m-%dT%H:%M:%S.%e %^%l%$", where, " %v"));
}

spdlog::sink_ptr MakeLogSink(int descriptor, const LogOptions& options) {
  return std::make_shared<LogSink>(descriptor, options);
}

void InitLogging(const LogOptions& options) {
  auto logger = std::make_shared<spdlog::logger>("sdar", MakeLogSink(STDERR_FILENO, options));
  logger->set_level(options.level);
  spdlog::set_default_logger(std::move(logger));
}

uint64_t NumDroppedLogLines() {
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  if (logger == nullptr || logger->sinks().empty()) return 0;
  const auto sink = std::dynamic_pointer_cast<LogSink>(logger->sinks().front());
  return sink == nullptr ? 0 : sink->num_dropped();
}

void LogEvent(spdlog::logger& logger, spdlog::level::level_enum level, absl::string_view message,
              const Json& fields) {
  if (!logger.should_log(level)) return;
  Json event = {{"message", Cut(message)}};
  event.update(CutFields(fields));
  logger.log(spdlog::source_loc(kEventSource, 1, ""), level, DumpJson(event));
}

void LogFinishedLine(spdlog::logger& logger, absl::string_view line) {
  logger.log(spdlog::source_loc(kLineSource, 1, ""), spdlog::level::critical,
             spdlog::string_view_t(line.data(), line.size()));
}

bool IsLogLine(absl::string_view line) {
  if (absl::StartsWith(line, "{")) {
    const absl::StatusOr<Json> object = ParseJson(line, "line");
    if (!object.ok() || !object->is_object()) return false;
    return absl::c_all_of(std::initializer_list<const char*>{"time", "level", "rank", "message"},
                          [&object](const char* key) { return object->contains(key); });
  }
  if (!StartsWithTime(line)) return false;
  const std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 2));
  const spdlog::string_view_t levels[] = SPDLOG_LEVEL_NAMES;
  return absl::c_any_of(levels, [&words](const spdlog::string_view_t& level) {
    return words[1] == absl::string_view(level.data(), level.size());
  });
}

}  // namespace sdar
