// SPDX-License-Identifier: Apache-2.0
// sdar-structure-bench: what structured output adds to rank 0's part of a step.
#include <algorithm>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

#include "bench/device/count_list.h"
#include "bench/structure/structure_bench.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-structure-bench";

struct StructureOptions {
  std::string model = "models/sdar-tiny-chat";
  std::string block_length = "4,8,16,32";
  int64_t answers = 10;
  double step_ms = 0;
};

// Mean and largest; "-" of none.
std::string Times(const std::vector<double>& times) {
  if (times.empty()) return "-";
  const double mean =
      std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  return absl::StrFormat("%.0f / %.0f", mean, *std::max_element(times.begin(), times.end()));
}

double Mean(const StructureTimes& times) {
  const double sum = std::accumulate(times.masks.begin(), times.masks.end(), 0.0) +
                     std::accumulate(times.solves.begin(), times.solves.end(), 0.0);
  return times.solves.empty() ? 0 : sum / static_cast<double>(times.solves.size());
}

void Append(const StructureTimes& more, StructureTimes& all) {
  all.masks.insert(all.masks.end(), more.masks.begin(), more.masks.end());
  all.solves.insert(all.solves.end(), more.solves.begin(), more.solves.end());
}

absl::Status PrintCase(const StructureBench& bench, const StructureCase& structure,
                       int block_length, const StructureOptions& options) {
  std::vector<double> compile_ms;
  for (int i = 0; i < 3; ++i) {
    SDAR_ASSIGN_OR_RETURN(compile_ms.emplace_back(), bench.CompileMs(structure));
  }
  std::sort(compile_ms.begin(), compile_ms.end());
  for (const bool draws : {false, true}) {
    SDAR_ASSIGN_OR_RETURN(const std::vector<StructureTimes> times,
                          bench.Write(structure, block_length, draws, options.answers + 1));
    StructureTimes later;
    for (size_t i = 1; i < times.size(); ++i) Append(times[i], later);
    std::cout << absl::StrFormat("| %s | %d | %s | %.1f | %s | %s | %s | %s |", structure.name,
                                 block_length, draws ? "drawn" : "greedy", compile_ms[1],
                                 Times(times[0].masks), Times(times[0].solves), Times(later.masks),
                                 Times(later.solves));
    if (options.step_ms > 0) {
      std::cout << absl::StrFormat(" %.2f%% |", Mean(later) / options.step_ms / 10);
    }
    std::cout << "\n" << std::flush;
  }
  return absl::OkStatus();
}

absl::Status Run(const StructureOptions& options) {
  constexpr int64_t kLongestBlock = 64;
  SDAR_ASSIGN_OR_RETURN(const auto lengths,
                        ParseCounts("--block-length", options.block_length, kLongestBlock));
  if (options.answers < 1) return absl::InvalidArgumentError("--answers: expected at least 1");
  SDAR_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(options.model));
  const StructureBench bench(std::move(tokenizer));
  std::cout
      << "mean / largest time of one sequence's step on one thread, in microseconds\n\n"
      << "| structure | block length | tokens | compiled in, ms | first answer: mask | choice "
         "| later ones: mask | choice |"
      << (options.step_ms > 0 ? " of a step |" : "") << "\n|---|---|---|---|---|---|---|---|"
      << (options.step_ms > 0 ? "---|" : "") << "\n";
  for (const int64_t length : lengths) {
    for (const StructureCase& structure : MakeStructureCases()) {
      SDAR_RETURN_IF_ERROR(PrintCase(bench, structure, static_cast<int>(length), options));
    }
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  StructureOptions options;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Times what a structure adds to a step: compiling it, the mask of a block's first position,\n"
      "and the choice of a valid filling. Logits are made up around an answer; no model runs.";
  spec.usage = "sdar-structure-bench [flags]";
  spec.Group("Flags")("model", Flag(&options.model, "DIR"), "folder with the tokenizer")(
      "block-length", Flag(&options.block_length), "lengths of blocks")(
      "answers", Flag(&options.answers), "after the first, whose grammar is new")(
      "step-ms", Flag(&options.step_ms), "of a model's step, to say how much of it that is");
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
