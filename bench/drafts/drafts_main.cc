// SPDX-License-Identifier: Apache-2.0
// sdar-drafts-bench: tokens per second and passes per token without drafts, with fixed numbers of
// them, and with as many as pay.
#include <algorithm>
#include <iostream>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "bench/drafts/drafts_bench.h"
#include "bench/forward/bench_options.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/job/progress_bar.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-drafts-bench";

void AddFlags(DraftsBenchOptions& o, FlagSpec& spec) {
  spec.Group("Flags")("model", Flag(&o.model, "DIR"),
                      "checkpoint; with --shape only its tokenizer and chat template")(
      "shape", TextFlag(&o.shape),
      "1.7b, 4b, 8b, 30b-a3b or a config.json: weights and answers are made up")(
      "layers", Flag(&o.layers), "layers of the shape to make and run; 0: all")(
      "acceptance", Flag(&o.acceptance),
      "with --shape: how often a draft of one position, one step on, comes true")(
      "dtype", Flag(&o.dtype), "arithmetic and K/V: bfloat16 or float32")(
      "strategy", Flag(&o.strategy), "remasking strategy")("batch", Flag(&o.batch),
                                                           "sequences that run at a time")(
      "drafts", Flag(&o.drafts), "what to compare: off, numbers and auto, the first is the base")(
      "requests", Flag(&o.requests), "of each sequence of the batch; the first is not timed")(
      "output-tokens", Flag(&o.output_tokens), "of every request, half of it to all")(
      "repeats", Flag(&o.repeats), "runs of each, in turn")("threads", Flag(&o.threads),
                                                            "0: one per core");
}

// Of the runs of one way, the one of median speed.
DraftsResult Middle(std::vector<DraftsResult> runs) {
  std::sort(runs.begin(), runs.end(), [](const DraftsResult& a, const DraftsResult& b) {
    return a.tokens_per_s() < b.tokens_per_s();
  });
  return runs[runs.size() / 2];
}

// The median speed of one way compared with another that took turns with it.
double MedianSpeedup(const std::vector<DraftsResult>& runs, const std::vector<DraftsResult>& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < runs.size(); ++i) {
    ratios.push_back(runs[i].tokens_per_s() / base[i].tokens_per_s());
  }
  std::sort(ratios.begin(), ratios.end());
  return ratios[ratios.size() / 2];
}

std::string Row(const DraftsResult& r, const DraftsResult& base, double speedup) {
  const auto passes = static_cast<double>(r.steps.forward_passes);
  const double accepted = r.steps.drafts == 0 ? 0
                                              : static_cast<double>(r.steps.accepted_drafts) /
                                                    static_cast<double>(r.steps.drafts);
  return absl::StrFormat("| %d | %s | %.1f | %.2f | %.3f | %.2f | %.1f | %.1f | %.0f%% |\n",
                         r.batch, r.drafts, r.tokens_per_s(), speedup, r.passes_per_token(),
                         base.passes_per_token() / r.passes_per_token(),
                         static_cast<double>(r.steps.rows) / passes,
                         static_cast<double>(r.steps.drafts) / passes, 100 * accepted);
}

absl::Status Run(const DraftsBenchOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  SDAR_ASSIGN_OR_RETURN(const std::vector<int64_t> batches,
                        ParseCounts("batch", options.batch, 64));
  const std::vector<std::string> ways = absl::StrSplit(options.drafts, ',');
  ProgressBar making("making weights");
  SDAR_ASSIGN_OR_RETURN(
      const std::unique_ptr<DraftsBench> bench,
      DraftsBench::Create(options, *std::max_element(batches.begin(), batches.end()),
                          [&](double done) { making.Show(done); }));
  ProgressBar bar("decoding");
  const auto total =
      static_cast<double>(batches.size() * ways.size() * static_cast<size_t>(options.repeats));
  double done = 0;
  std::string table =
      "| sequences | drafts | tokens/s | to the first | passes per token | passes saved, times | "
      "rows per pass | drafts per pass | accepted |\n|---|---|---|---|---|---|---|---|---|\n";
  for (int64_t batch : batches) {
    std::vector<std::vector<DraftsResult>> runs(ways.size());
    for (int i = 0; i < options.repeats; ++i) {
      for (size_t way = 0; way < ways.size(); ++way) {
        bar.Show(done++ / total);
        SDAR_ASSIGN_OR_RETURN(DraftsResult result, bench->Run(batch, ways[way]));
        runs[way].push_back(std::move(result));
      }
    }
    for (const std::vector<DraftsResult>& way : runs) {
      table += Row(Middle(way), Middle(runs[0]), MedianSpeedup(way, runs[0]));
    }
  }
  std::cout << (options.shape.empty() ? options.model : options.shape) << ", " << options.dtype
            << ", " << bench->Description() << ", " << options.strategy << "\n\n"
            << table << std::flush;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  DraftsBenchOptions options;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Decodes with the real scheduler and real forward passes, without drafts and with, in turn,\n"
      "and prints the run of median speed of each.";
  spec.usage = "sdar-drafts-bench [--model=DIR] [--shape=NAME --acceptance=P] [flags]";
  AddFlags(options, spec);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
