// SPDX-License-Identifier: Apache-2.0
// Logging: spdlog to standard error, as lines of text or as JSON objects, one a line.
#pragma once

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

// Sends log lines to standard error. Text is "time level [rank R] message", the rank only where
// there are several. JSON is {"time", "level", "rank", "host", "message"} with the time in UTC, and
// the fields of LogEvent. Call once at start, before other threads log.
void InitLogging(const LogOptions& options);

// What makes lines of messages, for InitLogging and tests.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(const LogOptions& options);

// Logs a message with fields, an object: members of the line's object in JSON, " key=value" behind
// the message in text. Any thread.
void LogEvent(spdlog::logger& logger, spdlog::level::level_enum level, absl::string_view message,
              const Json& fields);

}  // namespace sdar
