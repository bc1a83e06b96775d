// SPDX-License-Identifier: Apache-2.0
// What a step costs rank 0 in addition to the forward pass: real scheduler, router and delivery
// over made-up ranks.
#pragma once

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/logit_summary.h"
#include "parallel/communicator.h"
#include "runtime/cluster/router.h"
#include "runtime/schedule/scheduler.h"
#include "runtime/server/delivery.h"
#include "runtime/step/step_channel.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

struct CoordinatorOptions {
  int64_t sequences = 64;                  // that run at a time
  int64_t vocabulary = 151936;             // ids of the model
  int64_t block_length = 4;                // as many denoising steps
  int64_t prompt_tokens = 64;              // of every request; no two have the same
  int64_t output_tokens = 256;             // likewise
  int64_t steps = 2000;                    // that are timed, after a tenth as many that are not
  std::string model = "models/sdar-tiny";  // folder with the tokenizer

  // InvalidArgument names the flag, its range and what it got.
  absl::Status Validate() const;
};

// Of one step, in microseconds.
struct CoordinatorStep {
  double schedule = 0;  // FillPlan, new sequences included
  double encode = 0;    // the plan's bytes
  double choose = 0;    // tokens chosen and revealed, text made, updates handed to the delivery
  double send = 0;      // encode and broadcast, until this rank may go on
  double arrived = 0;   // likewise, until every rank has said that it has decoded the plan
  int64_t rows = 0;     // masked rows
  int64_t plan_bytes = 0;
};

// Keeps `sequences` requests running, a new one for each that ends. One thread (the one that owns
// the communicator).
class CoordinatorBench {
 public:
  // cold_caches: 16 MiB of memory are read in every step where the forward pass would be, as by a
  // core that has read weights; without, another device has. Requires: validated options; tokenizer
  // and communicator outlive this.
  CoordinatorBench(const CoordinatorOptions& options, const SamplingOptions& sampling,
                   bool cold_caches, const Tokenizer& tokenizer, Communicator& communicator);

  // Runs all steps and returns the timed ones. The other ranks must be in ReceivePlans.
  absl::StatusOr<std::vector<CoordinatorStep>> Run();

 private:
  absl::StatusOr<std::vector<SequenceId>> Take(std::vector<Submission> samples);
  absl::Status KeepRunning();
  absl::StatusOr<CoordinatorStep> Step();
  absl::Status Send(const sdar::v1::StepPlan& plan, CoordinatorStep& times);
  void StandInForForward(int64_t rows);
  void MakeSummaries();

  const CoordinatorOptions options_;
  const SamplingOptions sampling_;
  const Tokenizer& tokenizer_;
  Communicator& communicator_;
  StepChannel channel_;
  Scheduler scheduler_;
  sdar::v1::StepPlan plan_;
  std::mt19937_64 random_{1};
  std::vector<LogitSummary> made_up_;    // to pick from
  std::vector<LogitSummary> summaries_;  // of the step
  std::vector<uint64_t> memory_;
  uint64_t sum_ = 0;
  uint64_t next_id_ = 0;
  std::atomic<int64_t> delivered_tokens_{0};
  Delivery delivery_;
  Router router_;
};

// The other ranks: takes part in Send until a plan says SHUTDOWN.
absl::Status ReceivePlans(Communicator& communicator);
// Rank 0: says it.
absl::Status SendShutdown(Communicator& communicator);

}  // namespace sdar
