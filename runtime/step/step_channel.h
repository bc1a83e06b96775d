// SPDX-License-Identifier: Apache-2.0
// How a StepPlan gets from a group's first rank to the others: one broadcast, and sleep between
// plans when idle.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "parallel/communicator.h"
#include "runtime/step/doorbell.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

// One rank's end. After an IDLE plan the receivers sleep, without a collective in progress, until
// the sender rings. One thread.
class StepChannel {
 public:
  // ring: wakes the other ranks' doorbells, given how often it has been called (rank 0). doorbell:
  // what wakes this rank (the others). Both outlive the channel; null on the side that has no use
  // for it.
  StepChannel(Communicator& communicator, std::function<void(uint64_t count)> ring,
              Doorbell* doorbell)
      : communicator_(communicator), ring_(std::move(ring)), doorbell_(doorbell) {}

  // Rank 0: gives everybody the plan. Errors: the communicator's.
  absl::Status Send(const sdar::v1::StepPlan& plan);
  // The others: waits for the next plan. Internal when it is not one.
  absl::StatusOr<sdar::v1::StepPlan> Receive();

 private:
  void NoteIdle(const sdar::v1::StepPlan& plan);

  Communicator& communicator_;
  std::function<void(uint64_t count)> ring_;
  Doorbell* doorbell_;
  bool idle_ = false;
  uint64_t wakes_ = 0;  // how often this end has left idleness
  std::vector<char> head_;
};

}  // namespace sdar
