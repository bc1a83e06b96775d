// SPDX-License-Identifier: Apache-2.0
// sdar-replay's work: runs recorded plans on a job and compares what comes out.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "launcher/job/job.h"
#include "runtime/step/plan_record.h"

namespace sdar {

// How a replay went.
struct ReplayReport {
  int64_t steps = 0;      // plans that ran
  int64_t forwards = 0;   // those that computed
  int64_t rows = 0;       // of these
  int64_t summaries = 0;  // compared
  int64_t different = 0;  // not the same bits
  double largest = 0;     // difference, see Difference()
  uint64_t largest_step = 0;
  double seconds = 0;  // in the steps
};

// True when the recorded bits can be expected: the same number of ranks, dtype, instruction set and
// expert exchange.
bool ExpectsSameBits(const sdar::v1::PlanRecordHeader& recorded,
                     const sdar::v1::PlanRecordHeader& now);

// FailedPrecondition when the record is of another model.
absl::Status CheckSameModel(const sdar::v1::PlanRecordHeader& recorded,
                            const sdar::v1::PlanRecordHeader& now);

// Rank 0: runs the record's plans up to its end, its SHUTDOWN (which it leaves to the caller) or
// `stop`. Errors: the record's DataLoss; those of a step, after which the job cannot go on, come as
// Aborted.
absl::StatusOr<ReplayReport> Replay(PlanRecordReader& record, Job& job,
                                    const std::atomic<bool>& stop);

}  // namespace sdar
