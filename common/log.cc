// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include "absl/strings/str_cat.h"
#include "spdlog/sinks/stdout_color_sinks.h"

namespace sdar {

void InitLogging(int rank, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>(
      "sdar", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  const std::string where = rank < 0 ? "" : absl::StrCat(" [rank ", rank, "]");
  logger->set_pattern(absl::StrCat("%Y-%m-%dT%H:%M:%S.%e %^%l%$", where, " %v"));
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace sdar
