// SPDX-License-Identifier: Apache-2.0
// sdar-text-bench: the time that readers of users' text take for each byte, against its length.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bench/device/count_list.h"
#include "bench/text/text_cases.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"

namespace sdar {
namespace {

constexpr char kTextBenchProgram[] = "sdar-text-bench";

struct TextBenchOptions {
  std::string model = "models/sdar-tiny";
  std::string bytes = "10000,100000,1000000,10000000";
  int64_t repeats = 3;
};

// The shortest of some runs in nanoseconds per byte, and "refused" where the text was.
std::string TimePerByte(const TextCase& text_case, size_t size, int64_t repeats) {
  const std::string text = text_case.make(size);
  absl::Duration shortest = absl::InfiniteDuration();
  absl::Status status;
  for (int64_t i = 0; i < repeats; ++i) {
    const absl::Time begin = absl::Now();
    status = text_case.read(text);
    shortest = std::min(shortest, absl::Now() - begin);
  }
  const double ns = absl::ToDoubleNanoseconds(shortest) / static_cast<double>(text.size());
  return absl::StrFormat("%.1f%s", ns, status.ok() ? "" : " (refused)");
}

absl::Status Run(const TextBenchOptions& options) {
  constexpr int64_t kMaxBytes = 100'000'000;
  SDAR_ASSIGN_OR_RETURN(const auto sizes, ParseCounts("--bytes", options.bytes, kMaxBytes));
  if (options.repeats < 1) return absl::InvalidArgumentError("--repeats: expected at least 1");
  SDAR_ASSIGN_OR_RETURN(const TextCodec codec, TextCodec::Load(options.model));
  std::cout << "ns per byte of input; the shortest of " << options.repeats << " runs\n\n"
            << "| reader | input |";
  for (const int64_t size : sizes) std::cout << " " << size << " bytes |";
  std::cout << "\n|---|---|" << absl::StrJoin(std::vector<std::string>(sizes.size(), "---|"), "")
            << "\n";
  for (const TextCase& text_case : MakeTextCases(codec)) {
    std::cout << "| " << text_case.reader << " | " << text_case.input << " |";
    for (const int64_t size : sizes) {
      std::cout << " " << TimePerByte(text_case, static_cast<size_t>(size), options.repeats) << " |"
                << std::flush;
    }
    std::cout << "\n";
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  TextBenchOptions options;
  FlagSpec spec;
  spec.program = kTextBenchProgram;
  spec.purpose =
      "Times the readers of users' text (JSON, chat template, tokenizer, output splitter, HTTP\n"
      "bodies) against the length of ordinary texts and of texts that are made to be slow.";
  spec.usage = "sdar-text-bench [flags]";
  spec.Group("Flags")("model", Flag(&options.model, "DIR"),
                      "folder with the tokenizer and the chat template")(
      "bytes", Flag(&options.bytes), "lengths of the texts")(
      "repeats", Flag(&options.repeats), "runs of each, of which the shortest counts");
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kTextBenchProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  return ExitCode(kTextBenchProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
