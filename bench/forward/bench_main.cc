// SPDX-License-Identifier: Apache-2.0
// sdar-bench: how long forward passes of real shapes take here and, on the CPU, how close that is
// to what the memory allows. Weights are made up; nothing is downloaded. With --server: how a
// serving job holds up under load.
#include <algorithm>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"

#include "bench/forward/bench_options.h"
#include "bench/forward/bench_report.h"
#include "bench/forward/forward_bench.h"
#include "bench/load/load_main.h"
#include "bench/load/load_options.h"
#include "common/status_macros.h"
#include "launcher/job/progress_bar.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-bench";
constexpr int64_t kMatMulRows[] = {8, 32, 128, 512};

// Runs everything that the options name.
class Benchmark {
 public:
  Benchmark(const BenchOptions& options, std::vector<int64_t> rows, std::vector<int64_t> batches,
            std::vector<double> steps)
      : options_(options),
        rows_(std::move(rows)),
        batches_(std::move(batches)),
        steps_(std::move(steps)) {}

  absl::StatusOr<BenchResults> Run() {
    SDAR_RETURN_IF_ERROR(MakeModel());
    for (int64_t rows : rows_) {
      const int64_t logit_rows = std::min(rows, options_.block_length);
      SDAR_RETURN_IF_ERROR(TimePass({1, rows, logit_rows, 0}).status());
    }
    for (int64_t batch : batches_) SDAR_RETURN_IF_ERROR(TimeDecoding(batch));
    if (bench_->on_cpu()) {
      for (int64_t rows : kMatMulRows) results_.matmuls.push_back(bench_->TimeMatMul(rows));
    }
    SDAR_ASSIGN_OR_RETURN(results_.packing, bench_->TimePacking());
    return std::move(results_);
  }

 private:
  absl::Status MakeModel() {
    const auto largest = [](const std::vector<int64_t>& values) {
      return values.empty() ? 1 : *std::max_element(values.begin(), values.end());
    };
    ForwardBench::Limits limits;
    limits.max_sequences = largest(batches_);
    limits.max_rows_of_one = std::max(largest(rows_), 2 * options_.block_length);
    limits.max_rows =
        std::max(limits.max_rows_of_one, 2 * options_.block_length * limits.max_sequences);
    ProgressBar bar("making weights");
    SDAR_ASSIGN_OR_RETURN(
        bench_, ForwardBench::Create(options_, limits, [&](double done) { bar.Show(done); }));
    results_.backend = bench_->Description();
    results_.num_experts = bench_->config().num_experts;
    results_.model = absl::StrCat(options_.shape, " (", bench_->config().num_layers, " layers");
    if (bench_->layers_run() < bench_->config().num_layers) {
      absl::StrAppend(&results_.model, ", scaled from ", bench_->layers_run());
    }
    results_.model += ")";
    return absl::OkStatus();
  }

  absl::StatusOr<double> TimePass(const PassShape& shape) {
    bar_.Show(static_cast<double>(results_.passes.size()) / NumPasses(),
              absl::StrCat(shape.sequences, " x ", shape.rows, " rows"));
    SDAR_ASSIGN_OR_RETURN(PassTimes times, bench_->Time(shape));
    results_.passes.push_back(times);
    return times.median_ms;
  }

  // Fused, a block's first pass carries the commit of the one before; plain, the commit is a pass
  // of its own. If every step reveals as many positions, half of the block is masked in the mean of
  // the steps after the first.
  absl::Status TimeDecoding(int64_t batch) {
    const int64_t b = options_.block_length;
    SDAR_ASSIGN_OR_RETURN(const double denoise_ms, TimePass({batch, b, b, 0}));
    SDAR_ASSIGN_OR_RETURN(const double fused_ms, TimePass({batch, 2 * b, b, b}));
    SDAR_ASSIGN_OR_RETURN(const double commit_ms, TimePass({batch, b, 0, b}));
    SDAR_ASSIGN_OR_RETURN(const double masked_ms, TimePass({batch, b, (b + 1) / 2, 0}));
    const auto tokens = static_cast<double>(batch * b);
    const auto speed = [&](double steps, bool fused, double first_ms) {
      const double all = first_ms + denoise_ms * (steps - 1);
      const double masked = first_ms + masked_ms * (steps - 1);
      results_.decoding.push_back(
          {batch, steps, fused, all, tokens / all * 1000, masked, tokens / masked * 1000});
    };
    for (double steps : steps_) {
      speed(steps, true, fused_ms);
      speed(steps, false, commit_ms + denoise_ms);
    }
    return absl::OkStatus();
  }

  double NumPasses() const { return static_cast<double>(rows_.size() + 4 * batches_.size()); }

  const BenchOptions& options_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> batches_;
  std::vector<double> steps_;
  ProgressBar bar_{"timing passes"};
  std::unique_ptr<ForwardBench> bench_;
  BenchResults results_;
};

absl::Status Run(const BenchOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  SDAR_ASSIGN_OR_RETURN(std::vector<int64_t> rows, ParseCounts("rows", options.rows, 4096));
  SDAR_ASSIGN_OR_RETURN(std::vector<int64_t> batches, ParseCounts("batch", options.batch, 512));
  SDAR_ASSIGN_OR_RETURN(std::vector<double> steps, ParseSteps(options.steps, options.block_length));
  std::ofstream file;
  if (!options.json.empty()) {
    file.open(options.json, std::ios::trunc);
    if (!file) {
      return absl::NotFoundError(absl::StrCat("--json: cannot create '", options.json, "'"));
    }
  }
  absl::StatusOr<BenchResults> results =
      Benchmark(options, std::move(rows), std::move(batches), std::move(steps)).Run();
  if (!results.ok()) return results.status();
  std::cout << ToMarkdown(options, *results) << std::flush;
  if (!options.json.empty()) file << ToJson(options, *results).dump(2) << std::endl;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  BenchOptions options;
  LoadOptions load;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Times forward passes of a model shape with made-up weights in one process, on the CPU\n"
      "next to a plain read of memory by the same threads, timed in turn with the passes.\n"
      "With --server puts load on a serving job instead and prints how it answered.";
  spec.usage =
      "sdar-bench [--shape=NAME] [--device=cuda] [flags]\n"
      "       sdar-bench --server=HOST:PORT --rate=R|--clients=C --requests=N|--duration=S [flags]";
  AddBenchFlags(options, spec);
  AddLoadFlags(load, spec);
  spec.man.summary = "times forward passes, or puts load on a serving job";
  spec.man.exit_codes = {{"130", "Ctrl-C ended it."}};
  spec.man.see_also = "sdar-serve(1), sdar-client(1)";
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  if (const absl::Status status = load.Validate(); !status.ok()) return ExitCode(kProgram, status);
  if (load.server.empty()) return ExitCode(kProgram, Run(options));
  SignalWatcher signals;
  return ExitCode(kProgram, RunLoad(load, options.json, signals));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
