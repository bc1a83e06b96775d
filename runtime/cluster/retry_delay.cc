// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/retry_delay.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/steady_time.h"

namespace sdar {
namespace {

constexpr size_t kEndsRemembered = 64;
constexpr absl::Duration kShortest = absl::Milliseconds(100);
constexpr absl::Duration kLongest = absl::Seconds(60);
constexpr absl::Duration kUnknown = absl::Seconds(1);

}  // namespace

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  status.SetPayload(kRetryDelayPayload, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(delay))));
  return status;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryDelayPayload);
  int64_t milliseconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) return std::nullopt;
  return absl::Milliseconds(milliseconds);
}

void EndRate::NoteEnd(SteadyTime now) {
  ends_.push_back(now);
  if (ends_.size() > kEndsRemembered) ends_.pop_front();
}

// Counts the time since the oldest end it remembers, so that the rate falls while nothing ends.
absl::Duration EndRate::TimeToDrain(int64_t waiting, SteadyTime now) const {
  if (ends_.empty()) return kUnknown;
  const absl::Duration each = (now - ends_.front()) / static_cast<int64_t>(ends_.size());
  return std::clamp(each * waiting, kShortest, kLongest);
}

}  // namespace sdar
