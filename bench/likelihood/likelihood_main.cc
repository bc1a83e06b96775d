// SPDX-License-Identifier: Apache-2.0
// sdar-likelihood-bench: what scoring texts costs, compared with prefilling as many rows.
#include <algorithm>
#include <iostream>

#include "absl/strings/str_format.h"

#include "bench/device/count_list.h"
#include "bench/likelihood/likelihood_bench.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/job/progress_bar.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-likelihood-bench";
constexpr int64_t kLongest = 16384;

void AddFlags(LikelihoodBenchOptions& o, FlagSpec& spec) {
  spec.Group("Flags")("model", Flag(&o.model, "DIR"),
                      "checkpoint; with --shape only its tokenizer")(
      "shape", TextFlag(&o.shape), "1.7b, 4b, 8b, 30b-a3b or a config.json: weights are made up")(
      "layers", Flag(&o.layers), "layers of the shape to make and run; 0: all")(
      "dtype", Flag(&o.dtype), "arithmetic and K/V: bfloat16 or float32")(
      "length", Flag(&o.length), "tokens of the longest text; the shortest has half of them")(
      "texts", Flag(&o.texts), "that are scored in each run")(
      "block-length", Flag(&o.block_length), "1 .. 64")("max-batch-rows", Flag(&o.max_batch_rows),
                                                        "rows of one step at most")(
      "repeats", Flag(&o.repeats), "runs of each length")("threads", Flag(&o.threads),
                                                          "0: one per core");
}

// The run whose ratio is the median.
LikelihoodResult Middle(std::vector<LikelihoodResult> runs) {
  std::sort(runs.begin(), runs.end(), [](const LikelihoodResult& a, const LikelihoodResult& b) {
    return a.ratio() < b.ratio();
  });
  return runs[runs.size() / 2];
}

std::string Row(int64_t length, const LikelihoodResult& r) {
  return absl::StrFormat("| %d .. %d | %d | %d | %.0f%% | %d | %.0f | %.0f | %.0f | %.2f |\n",
                         (length + 1) / 2, length, r.tokens, r.rows,
                         100 * static_cast<double>(r.state_rows) / static_cast<double>(r.rows),
                         r.steps, 1000 * r.score_seconds, 1000 * r.prefill_seconds,
                         static_cast<double>(r.tokens) / r.score_seconds, r.ratio());
}

absl::Status Run(const LikelihoodBenchOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  SDAR_ASSIGN_OR_RETURN(const std::vector<int64_t> lengths,
                        ParseCounts("length", options.length, kLongest));
  ProgressBar making("making weights");
  SDAR_ASSIGN_OR_RETURN(
      const std::unique_ptr<LikelihoodBench> bench,
      LikelihoodBench::Create(options, lengths, [&](double done) { making.Show(done); }));
  ProgressBar bar("scoring");
  const auto total = static_cast<double>(lengths.size() * static_cast<size_t>(options.repeats));
  double done = 0;
  std::string table =
      "| tokens of a text | tokens | rows | of these states | steps | scored in, ms | prefilled "
      "in, "
      "ms | tokens/s | scored / prefilled |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const int64_t length : lengths) {
    std::vector<LikelihoodResult> runs;
    for (int i = 0; i < options.repeats; ++i) {
      bar.Show(done++ / total);
      SDAR_ASSIGN_OR_RETURN(runs.emplace_back(), bench->Run(length));
    }
    table += Row(length, Middle(std::move(runs)));
  }
  std::cout << (options.shape.empty() ? options.model : options.shape) << ", " << options.dtype
            << ", " << bench->Description() << ", " << options.texts << " texts, blocks of "
            << options.block_length << ", at most " << options.max_batch_rows << " rows a step\n\n"
            << table << std::flush;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  LikelihoodBenchOptions options;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Scores texts with the real scheduler and real forward passes, then prefills prompts of the "
      "same lengths\nin as many steps of as many rows, and prints the run of median ratio.";
  spec.usage = "sdar-likelihood-bench [--model=DIR] [--shape=NAME] [flags]";
  AddFlags(options, spec);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
