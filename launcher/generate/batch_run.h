// SPDX-License-Identifier: Apache-2.0
// sdar-generate's work: lines in, a router whose engines run many at a time, records out in input
// order.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "launcher/generate/answer_file.h"
#include "launcher/generate/generation_record.h"
#include "launcher/generate/input_lines.h"
#include "launcher/generate/jsonl_request.h"
#include "launcher/job/progress_bar.h"
#include "runtime/cluster/router.h"

namespace sdar {

// Runs on the main thread next to engines that run on others.
class BatchRun {
 public:
  // with_trace: records hold every denoising step. Requires: everything passed outlives this.
  BatchRun(bool with_trace, const TextCodec& text, const RequestDefaults& defaults, Router& router,
           AnswerFile& out);

  // Serves every line that is not answered yet. Returns when all are, or when `stop` was set and
  // what was running is. DataLoss when the output cannot be written.
  absl::Status Run(const std::vector<InputLine>& lines, const std::atomic<bool>& stop);

  int num_failed() const { return num_failed_; }
  int num_skipped() const { return num_skipped_; }
  int num_answered() const { return num_answered_; }

 private:
  // A line in the works; its samples' records fill up on the engine thread.
  struct Line {
    int number = 0;
    Json id;
    absl::Status error;  // of the line itself
    std::vector<GenerationRecord> samples;
    std::vector<uint64_t> seeds;  // one per sample
    bool with_logprobs = false;
  };

  void StartLine(const InputLine& input);
  absl::Status SubmitLine(const std::string& text, Line& line);
  bool IsAnswered(const Line& line) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HeadIsAnswered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !lines_.empty() && IsAnswered(*lines_.front());
  }
  absl::Status WriteAnswered();
  absl::Status WriteLine(const Line& line);
  void ShowProgress(size_t next_line, size_t num_lines);

  const bool with_trace_;
  const TextCodec& text_;
  const RequestDefaults& defaults_;
  Router& router_;
  AnswerFile& out_;
  ProgressBar bar_{"generating"};
  const SteadyTime started_ = SteadyTime::Now();
  int num_failed_ = 0;
  int num_skipped_ = 0;
  int num_answered_ = 0;
  int64_t num_tokens_ = 0;

  absl::Mutex mutex_;
  SteadyCondition news_;
  std::deque<std::unique_ptr<Line>>
      lines_;  // in input order; the records in them are guarded by mutex_
};

}  // namespace sdar
