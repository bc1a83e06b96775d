// SPDX-License-Identifier: Apache-2.0
#include "runtime/step/step_channel.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// The first broadcast of a plan: its size, and as much of it as fits. Most plans are one broadcast.
constexpr size_t kHeadBytes = 4096;
constexpr size_t kSizeBytes = sizeof(uint32_t);

}  // namespace

void StepChannel::NoteIdle(const sdar::v1::StepPlan& plan) {
  idle_ = plan.kind() == sdar::v1::StepPlan::IDLE;
}

absl::Status StepChannel::Send(const sdar::v1::StepPlan& plan) {
  if (communicator_.size() == 1) return absl::OkStatus();
  if (idle_) ring_(++wakes_);
  std::string bytes = plan.SerializeAsString();
  if (bytes.size() > std::numeric_limits<int32_t>::max()) {
    return absl::InternalError(absl::StrCat("step plan of ", bytes.size(), " bytes"));
  }
  const auto size = static_cast<uint32_t>(bytes.size());
  head_.assign(kHeadBytes, 0);
  std::memcpy(head_.data(), &size, kSizeBytes);
  const size_t in_head = std::min(bytes.size(), kHeadBytes - kSizeBytes);
  std::memcpy(head_.data() + kSizeBytes, bytes.data(), in_head);
  SDAR_RETURN_IF_ERROR(communicator_.Broadcast(head_.data(), kHeadBytes, 0));
  if (in_head < bytes.size()) {
    SDAR_RETURN_IF_ERROR(communicator_.Broadcast(bytes.data() + in_head,
                                                 static_cast<int64_t>(bytes.size() - in_head), 0));
  }
  NoteIdle(plan);
  return absl::OkStatus();
}

absl::StatusOr<sdar::v1::StepPlan> StepChannel::Receive() {
  if (idle_) doorbell_->WaitFor(++wakes_);
  head_.resize(kHeadBytes);
  SDAR_RETURN_IF_ERROR(communicator_.Broadcast(head_.data(), kHeadBytes, 0));
  uint32_t size = 0;
  std::memcpy(&size, head_.data(), kSizeBytes);
  std::string bytes(size, '\0');
  const size_t in_head = std::min<size_t>(size, kHeadBytes - kSizeBytes);
  std::memcpy(bytes.data(), head_.data() + kSizeBytes, in_head);
  if (in_head < size) {
    SDAR_RETURN_IF_ERROR(
        communicator_.Broadcast(bytes.data() + in_head, static_cast<int64_t>(size - in_head), 0));
  }
  sdar::v1::StepPlan plan;
  if (!plan.ParseFromString(bytes)) {
    return absl::InternalError(absl::StrCat("step plan: ", size, " bytes that do not parse"));
  }
  NoteIdle(plan);
  return plan;
}

}  // namespace sdar
