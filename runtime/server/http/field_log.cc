// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/field_log.h"

#include "common/log.h"

namespace sdar {
namespace {

constexpr size_t kMaxNames = 256;

}  // namespace

void FieldLog::Note(const std::string& field, absl::string_view path) {
  {
    absl::MutexLock lock(&mutex_);
    if (names_.size() >= kMaxNames || !names_.insert(field).second) return;
  }
  LogEvent(*spdlog::default_logger(), spdlog::level::info, "unknown field, no effect",
           {{"field", field}, {"path", std::string(path)}});
}

}  // namespace sdar
