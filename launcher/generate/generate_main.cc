// SPDX-License-Identifier: Apache-2.0
// sdar-generate: answers a file of requests, alone or under mpirun.
#include <atomic>
#include <csignal>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/generate/answer_file.h"
#include "launcher/generate/batch_run.h"
#include "launcher/generate/input_lines.h"
#include "launcher/job/job_main.h"
#include "launcher/job/job_options.h"
#include "launcher/job/signal_watcher.h"
#include "launcher/jsonl/distinct_files.h"
#include "launcher/jsonl/jsonl_files.h"
#include "runtime/checkpoint/model_location.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-generate";

struct Options {
  JobOptions job;
  std::string input = "-";
  std::string output = "-";
  std::string prompt;
  bool trace = false;
  bool resume = false;
};

FlagSpec MakeFlags(Options& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Answers one JSON request a line, {\"id\", \"prompt\" | \"prompt_ids\" | \"messages\", any "
      "sampling field},\n"
      "with one record for each sample, in the same order. Runs alone or under mpirun. SIGTERM and "
      "Ctrl-C\n"
      "finish what runs (under mpirun send it SIGUSR1). A line's records are written together. "
      "They survive\n"
      "the end of this program from then on, and a power failure within a second. --resume "
      "continues\n"
      "whatever an interrupted run left: every sample is there once.";
  spec.usage = "sdar-generate DIR [--input=FILE | --prompt=TEXT] [--output=FILE] [flags]";
  spec.positional = "model";
  spec.Group("Input and output")("input", Flag(&options.input, "-|FILE"),
                                 "file of JSON lines; - is standard input")(
      "output", Flag(&options.output, "-|FILE"),
      "file of JSON lines to write; - is standard output")("prompt", TextFlag(&options.prompt),
                                                           "answer this text instead of a file")(
      "trace", SwitchFlag(&options.trace), "add every denoising step to the records")(
      "resume", SwitchFlag(&options.resume),
      "keep the answers in --output, take error records and an unfinished answer out, and append "
      "what is missing");
  AddJobFlags(options.job, spec);
  spec.man.summary = "answers a file of requests with an SDAR language model";
  spec.man.exit_codes = {
      {"128 + N", "Signal N ended it: while the model loaded, or as the second one."}};
  spec.man.see_also = "sdar-serve(1), sdar-score(1), sdar-tokenize(1), mpirun(1)";
  return spec;
}

absl::StatusOr<std::vector<InputLine>> ReadLines(const Options& options) {
  if (!options.prompt.empty()) {
    std::istringstream line(DumpJson({{"id", 0}, {"prompt", options.prompt}}));
    return ReadInputLines(line);
  }
  std::ifstream file;
  SDAR_ASSIGN_OR_RETURN(std::istream * in, OpenInput(options.input, file));
  return ReadInputLines(*in);
}

// What rank 0 needs before the model is loaded, so that a bad file costs no loading.
struct Files {
  std::vector<InputLine> lines;
  std::optional<AnswerFile> output;
};

absl::Status CheckFiles(const Options& options) {
  if (options.resume && options.output == "-") {
    return absl::InvalidArgumentError("--resume: needs --output=FILE");
  }
  const std::vector<NamedFile> written = {{"--output", options.output},
                                          {"--record-plans", options.job.record_plans}};
  const std::string input = options.prompt.empty() ? options.input : "";
  SDAR_RETURN_IF_ERROR(CheckDistinct({{"--input", input}}, written));
  SDAR_ASSIGN_OR_RETURN(const ModelLocation model, LocateModel(options.job.model));
  return CheckOutsideModel(model.folder, written);
}

// Changes nothing in an output that is there.
absl::Status OpenFiles(const Options& options, Files& files) {
  SDAR_RETURN_IF_ERROR(CheckFiles(options));
  SDAR_ASSIGN_OR_RETURN(files.lines, ReadLines(options));
  SDAR_ASSIGN_OR_RETURN(files.output, AnswerFile::Open(options.output));
  return options.resume ? files.output->FindAnswered(files.lines) : absl::OkStatus();
}

absl::Status Generate(const Options& options, Files& files, Job& job, SignalWatcher& signals) {
  std::atomic<bool> stop{false};
  signals.OnSignal([&stop](int signal) {
    // sdar-launch repeats SIGUSR1: that is no impatience.
    const bool again = stop.exchange(true);
    if (again && signal != SIGUSR1) {
      spdlog::default_logger()->flush();
      std::_Exit(128 + signal);
    }
    if (again) return;
    spdlog::info("finishing what runs; once more ends at once");
  });
  BatchRun run(options.trace, job.text(), job.defaults(), job.router(), *files.output);
  std::thread engine([&] {
    const absl::Status status = job.RunEngine();
    if (!status.ok()) job.Abandon(status);
  });
  absl::Status status = files.output->Begin();
  if (status.ok()) status = run.Run(files.lines, stop);
  job.Stop(absl::CancelledError("stopped"));
  engine.join();
  SDAR_RETURN_IF_ERROR(job.Finish());
  signals.OnSignal([](int) {});
  SDAR_RETURN_IF_ERROR(status);
  if (run.num_skipped() > 0) spdlog::info("{} lines were answered before", run.num_skipped());
  return LinesFailed(run.num_failed());
}

int Main(int argc, char** argv) {
  Options options;
  options.job.log_level = "warning";
  // Lines wait in their file; what is in flight is bounded by BatchRun.
  options.job.max_waiting = std::numeric_limits<int64_t>::max();
  options.job.max_waiting_tokens = std::numeric_limits<int64_t>::max();
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  // A file that reaches the limit of its size is an error of that write.
  std::signal(SIGXFSZ, SIG_IGN);
  SignalWatcher signals;
  Files files;
  Job::Hooks hooks;
  hooks.prepare = [&] { return OpenFiles(options, files); };
  return RunJob(kProgram, options.job, std::move(hooks), signals,
                [&](Job& job) { return Generate(options, files, job, signals); });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
