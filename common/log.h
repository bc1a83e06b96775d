// SPDX-License-Identifier: Apache-2.0
// Logging: spdlog to standard error, every line prefixed with the rank once it is known.
#pragma once

#include "spdlog/spdlog.h"

namespace sdar {

// Sends log lines of `level` and above to standard error as "time level [rank R] message".
// rank < 0: no rank in the prefix. Call once at start, before other threads log.
void InitLogging(int rank, spdlog::level::level_enum level);

}  // namespace sdar
