// SPDX-License-Identifier: Apache-2.0
// sdar-bench --server: runs the load, shows how far it is, and writes what was measured.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "bench/load/load_options.h"
#include "launcher/job/signal_watcher.h"

namespace sdar {

// Prints Markdown to standard output and, with `json` not empty, writes JSON to that file. Ctrl-C
// ends the open calls and prints what was measured until then; a second one ends the program.
absl::Status RunLoad(const LoadOptions& options, const std::string& json, SignalWatcher& signals);

}  // namespace sdar
