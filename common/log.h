// SPDX-License-Identifier: Apache-2.0
// Logging: spdlog to standard error, as lines of text or as JSON objects, one a line. Logging never
// waits for who reads standard error: a thread writes the lines, and drops them if nobody reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "spdlog/formatter.h"
#include "spdlog/spdlog.h"

#include "common/json.h"

namespace sdar {

enum class LogFormat { kText, kJson };

struct LogOptions {
  int rank = 0;
  int num_ranks = 1;
  spdlog::level::level_enum level = spdlog::level::info;  // and above
  LogFormat format = LogFormat::kText;
};

// A message keeps this many bytes of its start.
constexpr size_t kMaxLogMessageBytes = size_t{16} << 10;

// Sends log lines to standard error. Text is "time level [rank R] message", the rank only where
// there are several. JSON is {"time", "level", "rank", "host", "message"} with the time in UTC, and
// the fields of LogEvent. Messages longer than kMaxLogMessageBytes are cut, and say so. Text
// escapes what Printable does; JSON by its own rules. flush() of the logger, and the end of the
// process, wait at most a second for what is queued. Call once at start, before other threads log.
void InitLogging(const LogOptions& options);

// What makes lines of messages, for InitLogging and tests.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(const LogOptions& options);

// Where InitLogging sends lines, for tests.
spdlog::sink_ptr MakeLogSink(int descriptor, const LogOptions& options);

// Logs a message with fields, an object: members of the line's object in JSON, " key=value" after
// the message in text. The message and strings of fields are cut like messages. Any thread.
void LogEvent(spdlog::logger& logger, spdlog::level::level_enum level, absl::string_view message,
              const Json& fields);

// Logs a line that another process made in the form of this log: nothing is added to it, and only
// its unprintable characters are escaped. Without line end. Any thread.
void LogFinishedLine(spdlog::logger& logger, absl::string_view line);

// Whether a line, without line end, has a form that MakeLogFormatter gives lines.
bool IsLogLine(absl::string_view line);

// Lines that were dropped since InitLogging, because standard error took none. Any thread.
uint64_t NumDroppedLogLines();

}  // namespace sdar
