// SPDX-License-Identifier: Apache-2.0
// The main function of every program that runs a model on all ranks.
#pragma once

#include <functional>

#include "launcher/job/job.h"
#include "launcher/job/signal_watcher.h"

namespace sdar {

// Starts the job; runs `coordinate` on rank 0 (which must leave the other ranks told to shut down)
// and the engine or the worker loop elsewhere; ends together. Returns the exit code; the error line
// is printed once.
int RunJob(const std::string& program, const JobOptions& options, Job::Hooks hooks,
           SignalWatcher& signals, const std::function<absl::Status(Job&)>& coordinate);

}  // namespace sdar
