// SPDX-License-Identifier: Apache-2.0
// sdar-replay: runs the plans that sdar-serve or sdar-generate recorded and compares the logits.
#include <atomic>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/job/job_main.h"
#include "launcher/job/signal_watcher.h"
#include "launcher/replay/replay_run.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-replay";

struct Options {
  JobOptions job;
  std::vector<std::string> files;
  double tolerance = 0;
};

FlagSpec MakeFlags(Options& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Runs the plans of FILE (--record-plans) on this job and compares the logit summary of every "
      "masked position:\nbit for bit with the recorded number of ranks, dtype, instruction set and "
      "expert exchange, else within a tolerance.\nExits with 1 when they differ by more. FILE is "
      "read by every rank.";
  spec.usage = "[mpirun -n RANKS] sdar-replay --model=DIR FILE [flags]";
  spec.Group("Record")(
      "tolerance", Flag(&options.tolerance),
      "nats by which summaries may differ where other bits are expected; 0: 0.001, and 0.3 where "
      "one side is bfloat16")(
      "file",
      boost::program_options::value<std::vector<std::string>>(&options.files)->value_name("FILE"),
      "the record, also without --file");
  spec.positional = "file";
  AddJobFlags(options.job, spec);
  spec.man.summary = "runs recorded plans again and compares the logits";
  spec.man.see_also = "sdar-generate(1), sdar-serve(1), mpirun(1)";
  return spec;
}

// Every rank: reads the record's header and takes the shapes that its plans were made for.
absl::Status OpenRecord(const Options& options, std::unique_ptr<PlanRecordReader>& record,
                        JobOptions& job) {
  if (options.files.size() != 1) {
    return absl::InvalidArgumentError("expected one FILE (--help tells)");
  }
  SDAR_ASSIGN_OR_RETURN(record, PlanRecordReader::Open(options.files.front()));
  const sdar::v1::PlanRecordHeader& header = record->header();
  job.max_sequences = static_cast<int>(header.max_sequences());
  job.max_batch_rows = static_cast<int64_t>(header.max_batch_rows());
  job.page_size = static_cast<int64_t>(header.page_size());
  job.exact_pages = static_cast<int64_t>(header.num_pages());
  return absl::OkStatus();
}

double ToleranceFor(const Options& options, const sdar::v1::PlanRecordHeader& recorded,
                    const sdar::v1::PlanRecordHeader& now) {
  if (ExpectsSameBits(recorded, now)) return 0;
  if (options.tolerance > 0) return options.tolerance;
  return recorded.dtype() == "float32" && now.dtype() == "float32" ? 0.001 : 0.3;
}

absl::Status Report(const ReplayReport& report, double tolerance) {
  std::cout << absl::StreamFormat(
      "%d steps, %d forward passes of %d rows in %.3f s, %d summaries: ", report.steps,
      report.forwards, report.rows, report.seconds, report.summaries);
  if (report.different == 0) {
    std::cout << "the same bits" << std::endl;
    return absl::OkStatus();
  }
  std::cout << absl::StreamFormat(
                   "%d with other bits, largest difference %.3g nats in step %d "
                   "(tolerance %.3g)",
                   report.different, report.largest, report.largest_step, tolerance)
            << std::endl;
  if (report.largest <= tolerance) return absl::OkStatus();
  return absl::DataLossError("the replay differs from the record");
}

absl::Status Run(const Options& options, PlanRecordReader& record, Job& job,
                 const std::atomic<bool>& stop) {
  job.backend().BindThread();
  const sdar::v1::PlanRecordHeader now = job.RecordHeader();
  const absl::Status same = CheckSameModel(record.header(), now);
  const absl::StatusOr<ReplayReport> report =
      same.ok() ? Replay(record, job, stop) : absl::StatusOr<ReplayReport>(same);
  if (absl::IsAborted(report.status())) job.Abandon(report.status());
  SDAR_RETURN_IF_ERROR(job.SendShutdown());
  SDAR_RETURN_IF_ERROR(job.Finish());
  SDAR_RETURN_IF_ERROR(report.status());
  return Report(*report, ToleranceFor(options, record.header(), now));
}

int Main(int argc, char** argv) {
  Options options;
  options.job.log_level = "warning";
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  SignalWatcher signals;
  std::atomic<bool> stop{false};
  std::unique_ptr<PlanRecordReader> record;
  Job::Hooks hooks;
  hooks.needs_text = false;
  hooks.adjust = [&](JobOptions& job) { return OpenRecord(options, record, job); };
  return RunJob(kProgram, options.job, std::move(hooks), signals, [&](Job& job) {
    signals.OnSignal([&](int) { stop.store(true); });
    return Run(options, *record, job, stop);
  });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
