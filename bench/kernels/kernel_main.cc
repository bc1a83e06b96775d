// SPDX-License-Identifier: Apache-2.0
// sdar-kernel-bench: how long each kernel of a pass takes alone, and how close that is to what the
// device allows. Inputs are made up; nothing is downloaded.
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include <unistd.h>

#include "bench/kernels/kernel_options.h"
#include "bench/kernels/kernel_sweep.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-kernel-bench";

void ShowNext(const std::string& text) {
  if (isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K" << text << std::flush;
}

absl::Status Run(const KernelOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  std::ofstream file;
  if (!options.json.empty()) {
    file.open(options.json, std::ios::trunc);
    if (!file) {
      return absl::NotFoundError(absl::StrCat("--json: cannot create '", options.json, "'"));
    }
  }
  KernelResults results;
  const absl::Status status = SweepKernels(options, ShowNext, results);
  ShowNext("");
  if (results.times.empty()) return status;
  std::cout << KernelMarkdown(options, results) << std::flush;
  if (!options.json.empty()) file << KernelJson(options, results).dump(2) << std::endl;
  return status;
}

int Main(int argc, char** argv) {
  KernelOptions options;
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Times every kernel of a model shape's pass alone, with made-up inputs, and prints time, "
      "bytes\n"
      "and operations next to the least time that the device's bandwidth and arithmetic allow.";
  spec.usage = "sdar-kernel-bench [--device=cuda] [--shape=NAME] [flags]";
  AddKernelFlags(options, spec);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
