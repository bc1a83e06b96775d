// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/grpc_log.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <grpc/support/log.h>

#include "common/log.h"
#include "common/steady_time.h"
#include "launcher/job/line_limit.h"

namespace sdar {
namespace {

spdlog::level::level_enum LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return spdlog::level::debug;
    case GPR_LOG_SEVERITY_INFO:
      return spdlog::level::info;
    default:
      return spdlog::level::err;
  }
}

absl::string_view BaseName(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

void Log(gpr_log_func_args* message) {
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  if (logger == nullptr) return;
  const spdlog::level::level_enum level = LevelOf(message->severity);
  if (!logger->should_log(level)) return;
  const absl::string_view file = BaseName(message->file);
  // gRPC hands its function nothing of ours, so the limit lives here. It is never destroyed, for
  // gRPC's threads log to the end.
  static LineLimit& limit = *new LineLimit;
  const std::optional<int64_t> left_out = limit.Admit(file, message->line, SteadyTime::Now());
  if (!left_out.has_value()) return;
  const std::string more =
      *left_out == 0 ? "" : absl::StrCat(", and ", *left_out, " more lines since");
  logger->log(level, "gRPC: {} ({}:{}{})", message->message,
              spdlog::string_view_t(file.data(), file.size()), message->line, more);
}

}  // namespace

void SendGrpcLogToOurs() { gpr_set_log_function(Log); }

}  // namespace sdar
