// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/line_limit.h"

namespace sdar {

std::optional<int64_t> LineLimit::Admit(absl::string_view file, int line, SteadyTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Place& place = places_[{std::string(file), line}];
  if (now - place.interval_start >= kInterval) {
    place.interval_start = now;
    place.num_lines = 0;
  }
  if (place.num_lines == kMostLines) {
    ++place.num_left_out;
    return std::nullopt;
  }
  ++place.num_lines;
  return std::exchange(place.num_left_out, 0);
}

}  // namespace sdar
