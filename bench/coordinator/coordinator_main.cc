// SPDX-License-Identifier: Apache-2.0
// sdar-coordinator-bench: what a step costs rank 0 in addition to the forward pass, and under
// mpirun how long a plan takes to the other ranks.
#include <algorithm>
#include <functional>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "bench/coordinator/coordinator_bench.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "parallel/local_communicator.h"
#include "parallel/mpi_communicator.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-coordinator-bench";

void AddFlags(CoordinatorOptions& o, FlagSpec& spec) {
  spec.Group("Flags")("sequences", Flag(&o.sequences), "sequences that run at a time")(
      "vocabulary", Flag(&o.vocabulary), "ids of the made-up model")(
      "block-length", Flag(&o.block_length), "positions of a block; as many denoising steps")(
      "prompt-tokens", Flag(&o.prompt_tokens), "length of every prompt")(
      "output-tokens", Flag(&o.output_tokens), "length of every output")(
      "steps", Flag(&o.steps), "timed steps")("model", Flag(&o.model, "DIR"),
                                              "folder with the tokenizer that makes the text");
}

// Nearest rank.
double Percentile(const std::vector<CoordinatorStep>& steps, double part,
                  const std::function<double(const CoordinatorStep&)>& value) {
  std::vector<double> values;
  for (const CoordinatorStep& step : steps) values.push_back(value(step));
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

double Total(const CoordinatorStep& step) { return step.schedule + step.encode + step.choose; }

std::string TableHead() {
  return "| choice | caches | masked rows | plan bytes | schedule | encode | choose, reveal, hand "
         "over | "
         "together | together, p99 | send | until all have it |\n"
         "|---|---|---|---|---|---|---|---|---|---|---|\n";
}

// Medians in microseconds.
std::string TableRow(absl::string_view choice, absl::string_view caches,
                     const std::vector<CoordinatorStep>& steps) {
  const auto median = [&](auto value) { return Percentile(steps, 0.5, value); };
  return absl::StrFormat(
      "| %s | %s | %.0f | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", choice,
      caches, median([](const auto& s) { return static_cast<double>(s.rows); }),
      median([](const auto& s) { return static_cast<double>(s.plan_bytes); }),
      median([](const auto& s) { return s.schedule; }),
      median([](const auto& s) { return s.encode; }),
      median([](const auto& s) { return s.choose; }), median(Total), Percentile(steps, 0.99, Total),
      median([](const auto& s) { return s.send; }),
      median([](const auto& s) { return s.arrived; }));
}

absl::Status RunCoordinator(const CoordinatorOptions& options, const Tokenizer& tokenizer,
                            Communicator& communicator) {
  SamplingOptions greedy, top_k;
  top_k.temperature = 1;
  top_k.top_k = 20;
  std::string table = TableHead();
  for (const bool cold : {false, true}) {
    for (const SamplingOptions& sampling : {greedy, top_k}) {
      CoordinatorBench bench(options, sampling, cold, tokenizer, communicator);
      SDAR_ASSIGN_OR_RETURN(const std::vector<CoordinatorStep> steps, bench.Run());
      table += TableRow(sampling.greedy() ? "greedy" : "top-k 20", cold ? "cold" : "warm", steps);
    }
  }
  std::cout << options.sequences << " sequences, vocabulary " << options.vocabulary
            << ", blocks of " << options.block_length << ", " << communicator.size()
            << " ranks; medians in microseconds\n\n"
            << table << std::flush;
  return SendShutdown(communicator);
}

absl::Status Run(const CoordinatorOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  SDAR_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(options.model));
  if (!StartedByMpi()) return RunCoordinator(options, tokenizer, *MakeSingleCommunicator());
  SDAR_ASSIGN_OR_RETURN(const std::unique_ptr<MpiSession> mpi, MpiSession::Start());
  SDAR_ASSIGN_OR_RETURN(const std::unique_ptr<MpiCommunicator> world, MpiCommunicator::World());
  return world->rank() == 0 ? RunCoordinator(options, tokenizer, *world) : ReceivePlans(*world);
}

int Main(int argc, char** argv) {
  CoordinatorOptions options;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Times what rank 0 does in a step in addition to the forward pass, which is made up, with "
      "sequences\n"
      "that keep coming; under mpirun also the broadcast of the plans.";
  spec.usage = "[mpirun -n RANKS] sdar-coordinator-bench [flags]";
  AddFlags(options, spec);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
