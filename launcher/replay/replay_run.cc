// SPDX-License-Identifier: Apache-2.0
#include "launcher/replay/replay_run.h"

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/steady_time.h"
#include "launcher/job/progress_bar.h"

namespace sdar {
namespace {

using sdar::v1::PlanRecordHeader;
using sdar::v1::RecordedStep;
using sdar::v1::StepPlan;

absl::StatusOr<StepResult> RunPlan(const StepPlan& plan, Job& job) {
  SDAR_RETURN_IF_ERROR(job.channel().Send(plan));
  return job.worker().Execute(plan);
}

absl::Status Compare(const RecordedStep& recorded, const StepResult& replayed,
                     ReplayReport& report) {
  const auto count = static_cast<size_t>(recorded.summaries_size());
  if (count != replayed.summaries.size()) {
    return absl::DataLossError(absl::StrCat("step ", recorded.plan().step_id(), ": expected ",
                                            replayed.summaries.size(), " recorded summaries, got ",
                                            count));
  }
  for (size_t i = 0; i < count; ++i) {
    const double difference =
        Difference(recorded.summaries(static_cast<int>(i)), replayed.summaries[i]);
    ++report.summaries;
    if (difference == 0) continue;
    ++report.different;
    if (difference <= report.largest) continue;
    report.largest = difference;
    report.largest_step = recorded.plan().step_id();
  }
  return absl::OkStatus();
}

}  // namespace

bool ExpectsSameBits(const PlanRecordHeader& recorded, const PlanRecordHeader& now) {
  return recorded.ranks() == now.ranks() && recorded.dtype() == now.dtype() &&
         recorded.backend() == now.backend() && recorded.moe_exchange() == now.moe_exchange();
}

absl::Status CheckSameModel(const PlanRecordHeader& recorded, const PlanRecordHeader& now) {
  if (recorded.model() != now.model()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the record is of another model: its config is ", recorded.model(), ", not ", now.model()));
  }
  if (recorded.index_hash() != now.index_hash()) {
    return absl::FailedPreconditionError(
        "the record is of another checkpoint: its tensors have other names, shapes or dtypes");
  }
  return absl::OkStatus();
}

absl::StatusOr<ReplayReport> Replay(PlanRecordReader& record, Job& job,
                                    const std::atomic<bool>& stop) {
  ReplayReport report;
  ProgressBar bar("replaying");
  while (!stop.load()) {
    SDAR_ASSIGN_OR_RETURN(const std::optional<RecordedStep> step, record.Next());
    if (!step || step->plan().kind() == StepPlan::SHUTDOWN) break;
    const SteadyTime begin = SteadyTime::Now();
    const auto result = RunPlan(step->plan(), job);
    if (!result.ok()) return absl::AbortedError(result.status().message());
    report.seconds += absl::ToDoubleSeconds(SteadyTime::Now() - begin);
    ++report.steps;
    if (step->plan().kind() != StepPlan::FORWARD) continue;
    ++report.forwards;
    for (const auto& segment : step->plan().segments()) report.rows += segment.token_ids_size();
    SDAR_RETURN_IF_ERROR(Compare(*step, *result, report));
    bar.Show(record.fraction(), absl::StrCat(report.forwards, " steps"));
  }
  return report;
}

}  // namespace sdar
