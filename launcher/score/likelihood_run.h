// SPDX-License-Identifier: Apache-2.0
// The work of sdar-score --likelihood: lines in, a router whose engines score many at a time,
// records out in the order of the input.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "common/json.h"
#include "common/steady_condition.h"
#include "launcher/job/progress_bar.h"
#include "runtime/cluster/router.h"
#include "runtime/request/request_fields.h"

namespace sdar {

// A line of the input that is not blank.
struct NumberedLine {
  int number = 0;  // from 1, blank lines counted
  std::string text;
};

// Runs on the main thread next to engines that run on others.
class LikelihoodRun {
 public:
  // Requires: everything passed outlives this, and no engine runs any more when this ends.
  LikelihoodRun(const RequestDefaults& defaults, Router& router, std::ostream& out)
      : defaults_(defaults), router_(router), out_(out) {}

  // Writes one record for every line. DataLoss when the output cannot be written. Blocks.
  absl::Status Run(const std::vector<NumberedLine>& lines);

  // Lines whose record holds an error.
  int num_failed() const { return num_failed_; }

 private:
  // A line in the works; its targets and its end come on an engine's thread.
  struct Line {
    int number = 0;
    Json id;
    absl::Status error;  // of the line itself
    std::vector<RevealedToken> targets;
    std::optional<SequenceEnd> end;
  };

  absl::Status Submit(const std::string& text, Line& line);
  void AwaitFirst();
  bool IsFirstDone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !lines_.front()->error.ok() || lines_.front()->end.has_value();
  }
  void WriteDone();
  void WriteLine(const Line& line);

  const RequestDefaults& defaults_;
  Router& router_;
  std::ostream& out_;
  ProgressBar bar_{"scoring"};
  int num_failed_ = 0;

  absl::Mutex mutex_;
  SteadyCondition news_;
  // In the order of the input. The mutex guards what comes on an engine's thread.
  std::deque<std::unique_ptr<Line>> lines_;
};

}  // namespace sdar
