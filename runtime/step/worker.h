// SPDX-License-Identifier: Apache-2.0
// What every rank does with a StepPlan: keep page tables and sampling records, run the model.
#pragma once

#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"

#include "common/ids.h"
#include "runtime/model/sdar_model.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

inline constexpr uint32_t kStepPlanVersion = 3;
// Masks that a rank keeps at most: more than a step can have rows.
inline constexpr size_t kMaxTokenMasks = 65536;

// What a step gives back, the same on every rank.
struct StepResult {
  std::vector<LogitSummary> summaries;  // FORWARD: one per masked row
  std::vector<float> logits;            // RESOLVE: z of the rows asked for, [rows, vocabulary]
};

// Executes plans in order. Holds no text and makes no decisions. An error means that the ranks no
// longer agree or the model failed, and ends the job. One thread.
class Worker {
 public:
  // Requires: the model outlives this.
  Worker(SdarModel& model, int max_sequences);

  // Internal names what in the plan cannot be; else the model's errors.
  absl::StatusOr<StepResult> Execute(const sdar::v1::StepPlan& plan);

  uint64_t next_step() const { return next_step_; }
  SdarModel& model() { return model_; }

 private:
  struct Slot {
    bool in_use = false;
    std::vector<int32_t> pages;
    int64_t num_committed = 0;       // positions
    std::vector<TokenId> tentative;  // after them: K/V that the last step's draft wrote
    sdar::v1::SamplingRecord sampling;
    std::vector<TokenId> stop_ids;
    std::vector<std::pair<TokenId, float>> bias;
    std::vector<TokenId> prompt_ids;
    absl::btree_map<TokenId, int32_t> output_counts;  // of committed output
  };
  // What the rows of one segment share in their LogitRowSpec: it must not move while the step runs.
  struct SegmentPenalties {
    std::vector<std::pair<TokenId, int32_t>> counts;
    std::vector<TokenId> repeated;
  };

  absl::Status CheckHeader(const sdar::v1::StepPlan& plan) const;
  absl::Status CheckSegment(const sdar::v1::Segment& segment) const;
  absl::StatusOr<StepResult> Forward(const sdar::v1::StepPlan& plan);
  absl::Status TakeMasks(const sdar::v1::StepPlan& plan);
  absl::StatusOr<StepResult> Resolve(const sdar::v1::StepPlan& plan);
  absl::Status CheckPlace(const Slot& slot, const sdar::v1::Segment& segment) const;
  void UpdateSlot(const sdar::v1::Segment& segment);
  static void UpdateSampling(const sdar::v1::SamplingRecord& record, Slot& slot);
  static void Commit(absl::Span<const TokenId> tokens, Slot& slot);
  void AppendRows(const sdar::v1::Segment& segment, const SegmentPenalties& penalties,
                  StepRows& rows) const;
  LogitRowSpec SpecFor(const Slot& slot, const SegmentPenalties& penalties, int64_t position,
                       uint32_t step) const;
  SegmentPenalties PenaltiesFor(const sdar::v1::Segment& segment) const;

  SdarModel& model_;
  std::vector<Slot> slots_;
  std::vector<TokenId> forbidden_;
  std::vector<std::vector<uint64_t>> masks_;  // by index; empty: there is none
  uint64_t next_step_ = 0;
  int32_t last_logit_rows_ = 0;
};

}  // namespace sdar
