// SPDX-License-Identifier: Apache-2.0
// sdar-score's work: the log-probability of a target at every position of given ids, in one pass
// under the block-causal mask.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "launcher/job/job.h"
#include "runtime/checkpoint/safetensors_writer.h"

namespace sdar {

struct ScoreRequest {
  Json id;
  std::vector<TokenId> ids;
  std::vector<TokenId> targets;  // one per id
};

// Reads {"id", "ids", "targets"?}; targets default to the ids. InvalidArgument names the field.
absl::StatusOr<ScoreRequest> ParseScoreRequest(absl::string_view line, int line_number, Json& id);

// The name of a sequence's logits in the file: "logits.ID".
std::string LogitsName(const Json& id);

// Scores sequences one after the other, as rank 0 of a job whose other ranks run the worker loop.
// One thread.
class Scorer {
 public:
  explicit Scorer(Job& job) : job_(job) {}

  // InvalidArgument: ids outside the vocabulary, or more of them than the sequence limit and the
  // K/V memory hold.
  absl::Status Check(const ScoreRequest& request) const;

  // The log-probabilities [ids]. Appends the logits [ids, vocabulary] float32 to `logits` where it
  // is given. Requires: Check is OK. Errors are final.
  absl::StatusOr<std::vector<double>> Score(const ScoreRequest& request, SafetensorsWriter* logits);

 private:
  // Scores the rows [begin, begin + count); what precedes them is in the pages.
  absl::Status ScoreChunk(const ScoreRequest& request, int64_t begin, int64_t count,
                          SafetensorsWriter* logits, std::vector<double>& out);
  absl::Status AppendLogits(int64_t rows, SafetensorsWriter& logits);
  absl::StatusOr<StepResult> Run(sdar::v1::StepPlan& plan);

  Job& job_;
  bool slot_in_use_ = false;
};

}  // namespace sdar
