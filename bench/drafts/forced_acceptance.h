// SPDX-License-Identifier: Apache-2.0
// Logit summaries of a made-up model, of which is known how often a guess about it comes true.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/types/span.h"

#include "common/logit_summary.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

// The choice for a position follows from the block before it; from one denoising step to the next
// it stays with the given probability, whatever is revealed. So a draft that reveals one position
// one step later comes true that often. One thread.
class ForcedAcceptance {
 public:
  // acceptance: 0 .. 1. Ids are below `num_ids`.
  ForcedAcceptance(double acceptance, int32_t num_ids)
      : acceptance_(acceptance), num_ids_(num_ids) {}

  // Replaces what a plan's forward pass has given. summaries: one per masked row.
  void Replace(const sdar::v1::StepPlan& plan, absl::Span<LogitSummary> summaries);

 private:
  using Tokens = std::vector<uint32_t>;  // by position, as last seen

  void NoteTokens(const sdar::v1::Segment& segment, Tokens& tokens) const;
  LogitSummary Summarize(const Tokens& tokens, uint32_t block, uint32_t position,
                         uint32_t step) const;

  double acceptance_;
  int32_t num_ids_;
  std::map<uint32_t, Tokens> tokens_;  // by slot
};

}  // namespace sdar
