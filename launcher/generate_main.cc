// SPDX-License-Identifier: Apache-2.0
// sdar-generate: answers a file of requests, alone or under mpirun.
#include <atomic>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/batch_run.h"
#include "launcher/flags.h"
#include "launcher/job_main.h"
#include "launcher/job_options.h"
#include "launcher/jsonl_files.h"
#include "launcher/signal_watcher.h"

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
      "with one record a line in the same order. Runs alone or under mpirun. SIGTERM and Ctrl-C "
      "finish what\n"
      "runs (under mpirun send it SIGUSR1); --resume continues such a file.";
  spec.usage = "sdar-generate --model=DIR [--input=FILE | --prompt=TEXT] [--output=FILE] [flags]";
  spec.options.add_options()("input", Flag(&options.input),
                             "file of JSON lines; - is standard input")(
      "output", Flag(&options.output), "file of JSON lines to write; - is standard output")(
      "prompt", TextFlag(&options.prompt), "answer this text instead of a file")(
      "trace", SwitchFlag(&options.trace), "add every denoising step to the records")(
      "resume", SwitchFlag(&options.resume),
      "append to --output and skip the ids that are answered in it");
  AddJobFlags(options.job, spec);
  return spec;
}

absl::StatusOr<std::vector<std::string>> ReadLines(const Options& options) {
  if (!options.prompt.empty()) {
    return std::vector<std::string>{DumpJson({{"id", 0}, {"prompt", options.prompt}})};
  }
  std::ifstream file;
  SDAR_ASSIGN_OR_RETURN(std::istream * in, OpenInput(options.input, file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(*in, line);) lines.push_back(std::move(line));
  if (in->bad()) return absl::DataLossError("--input: reading failed");
  return lines;
}

// The ids answered in an earlier run's output, as JSON text. Cuts off a last line that was not
// finished.
absl::StatusOr<std::set<std::string>> ReadDoneIds(const std::string& path) {
  std::set<std::string> ids;
  absl::StatusOr<std::string> content = ReadFile(path);
  if (absl::IsNotFound(content.status())) return ids;
  SDAR_RETURN_IF_ERROR(content.status());
  const size_t end = content->rfind('\n') == std::string::npos ? 0 : content->rfind('\n') + 1;
  for (size_t begin = 0; begin < end;) {
    const size_t newline = content->find('\n', begin);
    SDAR_ASSIGN_OR_RETURN(const Json record,
                          ParseJson(absl::string_view(*content).substr(begin, newline - begin),
                                    absl::StrCat("--resume: ", path)));
    if (record.is_object() && record.contains("id")) ids.insert(DumpJson(record["id"]));
    begin = newline + 1;
  }
  if (end < content->size()) {
    std::ofstream cut(path, std::ios::binary | std::ios::trunc);
    cut.write(content->data(), static_cast<std::streamsize>(end));
    if (!cut.flush()) return absl::DataLossError(absl::StrCat(path, ": writing failed"));
  }
  return ids;
}

// What rank 0 needs before the model is loaded, so that a bad file costs no loading.
struct Files {
  std::vector<std::string> lines;
  std::set<std::string> done_ids;
  std::ofstream output;
  std::ostream* out = nullptr;
};

absl::Status OpenFiles(const Options& options, Files& files) {
  if (options.resume && options.output == "-") {
    return absl::InvalidArgumentError("--resume: needs --output=FILE");
  }
  SDAR_ASSIGN_OR_RETURN(files.lines, ReadLines(options));
  if (options.resume) {
    SDAR_ASSIGN_OR_RETURN(files.done_ids, ReadDoneIds(options.output));
  }
  SDAR_ASSIGN_OR_RETURN(files.out, OpenOutput(options.output, options.resume, files.output));
  return absl::OkStatus();
}

absl::Status Generate(const Options& options, Files& files, Job& job, SignalWatcher& signals) {
  std::atomic<bool> stop{false};
  signals.OnSignal([&stop](int signal) {
    if (stop.exchange(true)) std::_Exit(128 + signal);
    spdlog::info("finishing what runs; once more ends at once");
  });
  BatchRun run({options.trace, files.done_ids}, job.text(), job.defaults(), job.router(),
               *files.out);
  std::thread engine([&] {
    const absl::Status status = job.RunEngine();
    if (!status.ok()) job.Abandon(status);
  });
  const absl::Status status = run.Run(files.lines, stop);
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
  if (*outcome == FlagOutcome::kHelpPrinted) return 0;
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
