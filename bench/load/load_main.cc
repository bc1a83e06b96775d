// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_main.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"

#include "bench/load/load_report.h"
#include "bench/load/load_run.h"
#include "common/status_macros.h"
#include "launcher/job/progress_bar.h"

namespace sdar {
namespace {

constexpr int kInterruptedCode = 130;

// Of the requests or the time, whichever is further.
double FractionDone(const LoadOptions& options, const LoadRun::Progress& progress) {
  double fraction = 0;
  if (options.requests > 0) {
    fraction =
        static_cast<double>(progress.sent - progress.open) / static_cast<double>(options.requests);
  }
  if (options.duration_seconds > 0) {
    fraction =
        std::max(fraction, absl::ToDoubleSeconds(progress.elapsed) / options.duration_seconds);
  }
  return std::min(fraction, 1.0);
}

absl::StatusOr<LoadResult> RunShown(const LoadOptions& options, SignalWatcher& signals) {
  LoadRun run(options);
  signals.OnSignal([&run, interrupted = false](int) mutable {
    if (interrupted) std::_Exit(kInterruptedCode);
    interrupted = true;
    run.Stop();
  });
  ProgressBar bar("load");
  auto result = run.Run([&](const LoadRun::Progress& progress) {
    bar.Show(FractionDone(options, progress),
             absl::StrCat(progress.sent, " sent, ", progress.open, " open"));
  });
  signals.OnSignal([](int) { std::_Exit(kInterruptedCode); });
  return result;
}

}  // namespace

absl::Status RunLoad(const LoadOptions& options, const std::string& json, SignalWatcher& signals) {
  std::ofstream file;
  if (!json.empty()) {
    file.open(json, std::ios::trunc);
    if (!file) return absl::NotFoundError(absl::StrCat("--json: cannot create '", json, "'"));
  }
  SDAR_ASSIGN_OR_RETURN(const LoadResult result, RunShown(options, signals));
  const LoadSummary summary = Summarize(result);
  std::cout << ToMarkdown(options, result, summary) << std::flush;
  if (!json.empty()) file << DumpJson(ToJson(options, result, summary)) << std::endl;
  return absl::OkStatus();
}

}  // namespace sdar
