// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/grpc_log.h"

#include <memory>

#include "absl/strings/string_view.h"
#include <grpc/support/log.h>

#include "common/log.h"

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
  const absl::string_view file = BaseName(message->file);
  logger->log(LevelOf(message->severity), "gRPC: {} ({}:{})", message->message,
              spdlog::string_view_t(file.data(), file.size()), message->line);
}

}  // namespace

void SendGrpcLogToOurs() { gpr_set_log_function(Log); }

}  // namespace sdar
