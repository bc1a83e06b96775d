// SPDX-License-Identifier: Apache-2.0
// sdar-score: how probable given tokens are, position by position, alone or under mpirun.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/job/job_main.h"
#include "launcher/job/progress_bar.h"
#include "launcher/job/signal_watcher.h"
#include "launcher/jsonl/distinct_files.h"
#include "launcher/jsonl/jsonl_files.h"
#include "launcher/score/likelihood_run.h"
#include "launcher/score/score_run.h"
#include "runtime/checkpoint/model_location.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-score";

struct Options {
  JobOptions job;
  std::string input = "-";
  std::string output = "-";
  std::string logits;
  bool likelihood = false;
};

FlagSpec MakeFlags(Options& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Reads one JSON object a line, {\"id\", \"ids\", \"targets\"}, and writes {\"id\", "
      "\"logprobs\"}: the log-probability\n"
      "of the target (default: the id itself) at every position, from one forward pass under the "
      "block-causal mask.\n"
      "With --likelihood, reads {\"id\", \"ids\", \"prompt_length\"} and writes {\"id\", "
      "\"logprobs\", \"sum\", \"greedy\"}:\n"
      "the log-probability with which decoding, one position a step from left to right, reveals "
      "each of the ids from prompt_length on.";
  spec.usage =
      "sdar-score DIR [--likelihood | --logits=FILE] [--input=FILE] [--output=FILE] [flags]";
  spec.positional = "model";
  spec.Group("Input and output")("input", Flag(&options.input, "-|FILE"),
                                 "file of JSON lines; - is standard input")(
      "output", Flag(&options.output, "-|FILE"),
      "file of JSON lines to write; - is standard output")(
      "likelihood", SwitchFlag(&options.likelihood),
      "score the ids as decoding would reveal them, many lines at a time")(
      "logits", TextFlag(&options.logits, "FILE"),
      "safetensors file to write: logits.ID [tokens, vocabulary] float32");
  AddJobFlags(options.job, spec);
  spec.man.summary = "log-probabilities of given tokens under an SDAR language model";
  spec.man.see_also = "sdar-generate(1), sdar-tokenize(1), mpirun(1)";
  return spec;
}

// A line of the input, read.
struct Line {
  int number = 0;
  Json id;
  absl::StatusOr<ScoreRequest> request = absl::UnknownError("not read");
};

struct Files {
  std::vector<NumberedLine> texts;
  std::vector<Line> lines;  // of these; empty with --likelihood
  std::ofstream output;
  std::ostream* out = nullptr;
};

absl::Status OpenFiles(const Options& options, Files& files) {
  if (options.likelihood && !options.logits.empty()) {
    return absl::InvalidArgumentError("--logits: not with --likelihood");
  }
  const std::vector<NamedFile> written = {{"--output", options.output},
                                          {"--logits", options.logits}};
  SDAR_RETURN_IF_ERROR(CheckDistinct({{"--input", options.input}}, written));
  SDAR_ASSIGN_OR_RETURN(const ModelLocation model, LocateModel(options.job.model));
  SDAR_RETURN_IF_ERROR(CheckOutsideModel(model.folder, written));
  std::ifstream file;
  SDAR_ASSIGN_OR_RETURN(std::istream * in, OpenInput(options.input, file));
  int number = 0;
  for (std::string text; std::getline(*in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    files.texts.push_back({number, std::move(text)});
  }
  if (in->bad()) return absl::DataLossError("--input: reading failed");
  SDAR_ASSIGN_OR_RETURN(files.out, OpenOutput(options.output, false, files.output));
  if (options.likelihood) return absl::OkStatus();
  for (const NumberedLine& text : files.texts) {
    Line line;
    line.number = text.number;
    line.request = ParseScoreRequest(text.text, text.number, line.id);
    files.lines.push_back(std::move(line));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SafetensorsWriter>> OpenLogits(const Options& options,
                                                            const Files& files, const Job& job) {
  std::optional<SafetensorsWriter> writer;
  if (options.logits.empty()) return writer;
  std::vector<TensorDeclaration> tensors;
  for (const Line& line : files.lines) {
    if (!line.request.ok()) continue;
    tensors.push_back({LogitsName(line.id),
                       StoredDType::kF32,
                       {static_cast<int64_t>(line.request->ids.size()), job.config().vocab_size}});
  }
  SDAR_ASSIGN_OR_RETURN(SafetensorsWriter created,
                        SafetensorsWriter::Create(options.logits, tensors));
  writer.emplace(std::move(created));
  return writer;
}

absl::Status ScoreLines(Files& files, Job& job, SafetensorsWriter* logits, int& num_failed) {
  Scorer scorer(job);
  ProgressBar bar("scoring");
  size_t done = 0;
  for (const Line& line : files.lines) {
    bar.Show(static_cast<double>(done) / static_cast<double>(files.lines.size()),
             absl::StrFormat("%d of %d", done, files.lines.size()));
    ++done;
    if (!*files.out) break;  // whoever read it has gone
    if (!line.request.ok()) {
      ++num_failed;
      *files.out << DumpJson(ErrorRecord(line.id, line.number, line.request.status())) << '\n';
      continue;
    }
    auto logprobs = scorer.Score(*line.request, logits);
    if (!logprobs.ok()) job.Abandon(logprobs.status());
    const auto unusable = std::find_if(logprobs->begin(), logprobs->end(),
                                       [](double logprob) { return std::isnan(logprob); });
    if (unusable != logprobs->end()) {
      ++num_failed;
      const absl::Status status = absl::InternalError(
          absl::StrCat("the logits of position ", unusable - logprobs->begin(), " are not finite"));
      *files.out << DumpJson(ErrorRecord(line.id, line.number, status)) << '\n';
      continue;
    }
    *files.out << DumpJson({{"id", line.id}, {"logprobs", *logprobs}}) << '\n';
  }
  return Flush(*files.out);
}

absl::Status Score(const Options& options, Files& files, Job& job) {
  job.backend().BindThread();
  const Scorer scorer(job);
  for (Line& line : files.lines) {
    if (!line.request.ok()) continue;
    if (const absl::Status status = scorer.Check(*line.request); !status.ok()) {
      line.request = status;
    }
  }
  int num_failed = 0;
  auto logits = OpenLogits(options, files, job);
  absl::Status status = logits.status();
  if (status.ok()) {
    SafetensorsWriter* writer = logits->has_value() ? &**logits : nullptr;
    status = ScoreLines(files, job, writer, num_failed);
    if (status.ok() && writer != nullptr) status = writer->Finish();
  }
  SDAR_RETURN_IF_ERROR(job.SendShutdown());
  SDAR_RETURN_IF_ERROR(job.Finish());
  SDAR_RETURN_IF_ERROR(status);
  return LinesFailed(num_failed);
}

absl::Status ScoreLikelihoods(Files& files, Job& job) {
  LikelihoodRun run(job.defaults(), job.router(), *files.out);
  std::thread engine([&] {
    const absl::Status status = job.RunEngine();
    if (!status.ok()) job.Abandon(status);
  });
  const absl::Status status = run.Run(files.texts);
  job.Stop(absl::CancelledError("stopped"));
  engine.join();
  SDAR_RETURN_IF_ERROR(job.Finish());
  SDAR_RETURN_IF_ERROR(status);
  return LinesFailed(run.num_failed());
}

int Main(int argc, char** argv) {
  Options options;
  options.job.log_level = "warning";
  // Lines wait in their file; what is in flight is bounded by LikelihoodRun.
  options.job.max_waiting = std::numeric_limits<int64_t>::max();
  options.job.max_waiting_tokens = std::numeric_limits<int64_t>::max();
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  SignalWatcher signals;
  Files files;
  Job::Hooks hooks;
  hooks.needs_text = options.likelihood;
  // Without, one sequence at a time is all there is: memory for others would be wasted.
  if (!options.likelihood) options.job.max_sequences = 1;
  hooks.prepare = [&] { return OpenFiles(options, files); };
  return RunJob(kProgram, options.job, std::move(hooks), signals, [&](Job& job) {
    return options.likelihood ? ScoreLikelihoods(files, job) : Score(options, files, job);
  });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
