// SPDX-License-Identifier: Apache-2.0
// Decoding with and without drafts: real scheduler and forward passes, and answers of the model
// itself or of a made-up one whose drafts come true as often as is asked for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/drafts/forced_acceptance.h"
#include "bench/forward/cpu_model.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/schedule/scheduler.h"
#include "runtime/step/worker.h"
#include "runtime/text/text_codec.h"

namespace sdar {

struct DraftsBenchOptions {
  std::string model = "models/sdar-tiny";  // the checkpoint, or just the tokenizer with `shape`
  std::string shape;                       // weights are made up; empty: the checkpoint's
  int layers = 0;                          // of the shape; 0: all
  double acceptance = 0.8;                 // with `shape`
  std::string dtype = "bfloat16";
  std::string strategy = "low_confidence_static";
  std::string batch = "1,4,16";
  std::string drafts = "off,3,8,auto";
  int64_t requests = 4;        // of each sequence of the batch
  int64_t output_tokens = 96;  // of each request, half of it to all
  int repeats = 3;
  int threads = 0;  // 0: all cores

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

// One way of drafting at one batch size, over the timed requests.
struct DraftsResult {
  int64_t batch = 0;
  std::string drafts;
  double seconds = 0;
  int64_t tokens = 0;
  int64_t sequence_passes = 0;  // passes that a sequence took part in, summed
  StepCounters steps;

  double tokens_per_s() const { return static_cast<double>(tokens) / seconds; }
  double passes_per_token() const {
    return static_cast<double>(sequence_passes) / static_cast<double>(tokens);
  }
};

// One thread.
class DraftsBench {
 public:
  // Makes or loads the model and pins the calling thread, which must make all further calls.
  static absl::StatusOr<std::unique_ptr<DraftsBench>> Create(const DraftsBenchOptions& options,
                                                             int64_t max_batch,
                                                             const Progress& progress);

  // Keeps `batch` sequences running until all requests are answered; the first of every sequence
  // are not timed.
  absl::StatusOr<DraftsResult> Run(int64_t batch, const std::string& drafts);

  std::string Description() const { return cpu_.backend->Description(); }

 private:
  DraftsBench() = default;

  absl::Status MakeModel(int64_t max_batch, const Progress& progress);
  absl::StatusOr<GenerationRequest> MakeRequest(int64_t index, int64_t drafts) const;
  absl::Status Step(Scheduler& scheduler, Worker& worker);

  DraftsBenchOptions options_;
  std::unique_ptr<TextCodec> text_;
  CpuModel cpu_;
  TokenId mask_token_ = kNoToken;
  std::optional<ForcedAcceptance> forced_;
};

}  // namespace sdar
