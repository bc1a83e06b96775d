// SPDX-License-Identifier: Apache-2.0
// What scoring texts costs, compared with prefilling as many rows.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/forward/cpu_model.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/schedule/scheduler.h"
#include "runtime/step/worker.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

struct LikelihoodBenchOptions {
  std::string model = "models/sdar-tiny";  // the checkpoint, or just the tokenizer with `shape`
  std::string shape;                       // weights are made up; empty: the checkpoint's
  int layers = 0;                          // of the shape; 0: all
  std::string dtype = "bfloat16";
  std::string length = "32,128,512";  // tokens of the longest text; the shortest has half of it
  int64_t texts = 1000;
  int64_t block_length = 4;
  int64_t max_batch_rows = 512;
  int repeats = 3;
  int threads = 0;  // 0: all cores

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

// One run over all texts.
struct LikelihoodResult {
  int64_t tokens = 0;  // scored: all of the texts
  int64_t rows = 0;
  int64_t state_rows = 0;  // of these
  int64_t steps = 0;
  double score_seconds = 0;
  double prefill_seconds = 0;  // as many steps of as many rows

  double ratio() const { return score_seconds / prefill_seconds; }
};

// One thread.
class LikelihoodBench {
 public:
  // Makes or loads the model and pins the calling thread, which must make all further calls.
  // lengths: those that Run may be called with; not empty.
  static absl::StatusOr<std::unique_ptr<LikelihoodBench>> Create(
      const LikelihoodBenchOptions& options, const std::vector<int64_t>& lengths,
      const Progress& progress);

  // Scores texts of at most `length` tokens, then prefills prompts of their lengths in steps of the
  // same rows.
  absl::StatusOr<LikelihoodResult> Run(int64_t length);

  std::string Description() const { return cpu_.backend->Description(); }

 private:
  LikelihoodBench(const LikelihoodBenchOptions& options, Tokenizer tokenizer)
      : options_(options), tokenizer_(std::move(tokenizer)) {}

  std::vector<std::vector<TokenId>> MakeTexts(int64_t length);
  // Returns the rows of every step.
  absl::StatusOr<std::vector<int64_t>> Score(const std::vector<std::vector<TokenId>>& texts,
                                             LikelihoodResult& out);
  std::vector<sdar::v1::StepPlan> PlanPrefill(const std::vector<std::vector<TokenId>>& prompts,
                                              const std::vector<int64_t>& step_rows) const;
  absl::Status Prefill(std::vector<sdar::v1::StepPlan> plans, LikelihoodResult& out);

  LikelihoodBenchOptions options_;
  Tokenizer tokenizer_;
  TokenId mask_token_ = kNoToken;
  int slots_ = 0;
  int64_t pages_per_slot_ = 0;
  CpuModel cpu_;
};

}  // namespace sdar
