// SPDX-License-Identifier: Apache-2.0
// The forward pass of SDAR models, dense and mixture of experts, for one rank of a group.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "common/ids.h"
#include "common/logit_summary.h"
#include "kernels/backend.h"
#include "parallel/communicator.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/model/expert_exchange.h"
#include "runtime/model/kv_cache.h"
#include "runtime/model/sharded_weights.h"

namespace sdar {

struct ModelOptions {
  MoeExchange moe_exchange = MoeExchange::kAuto;
  int64_t max_rows = 0;  // rows of one step at most; what the activations are sized for
  KvCacheConfig kv_cache;
  // The last layer computes all rows, as the others do, and not only those that logits need: for
  // timing layers.
  bool whole_last_layer = false;
};

// The rows of one step, the same on every rank.
struct StepRows {
  std::vector<TokenId> token_ids;  // [rows]
  std::vector<int32_t> positions;  // [rows]
  std::vector<int64_t> kv_slots;   // [rows] where K/V is written, or -1
  std::vector<AttentionSegment> segments;
  std::vector<int32_t> page_table;        // what AttentionSegment::page_offset points into
  std::vector<int32_t> logit_rows;        // ascending rows that get a LogitSummary
  std::vector<LogitRowSpec> logit_specs;  // one per logit row
  absl::Span<const TokenId> forbidden;    // for every logit row
};

// One rank's model. All ranks call Forward and GatherLogits together with the same arguments. One
// thread.
class SdarModel {
 public:
  // Requires: backend and communicators outlive the model. Errors: the device's ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<SdarModel>> Create(const ModelConfig& config,
                                                           ShardedWeights weights,
                                                           const ModelOptions& options,
                                                           Backend& backend,
                                                           const GroupCommunicators& group);

  // Runs the rows through all layers and returns the logit rows' summaries, merged over the
  // vocabulary's shards, on every rank. Requires: at most max_rows rows. Errors are the
  // communicator's or the device's, and final.
  absl::StatusOr<std::vector<LogitSummary>> Forward(const StepRows& step);

  // z of whole rows of the last Forward, given by index into its logit_rows: [rows, vocabulary], on
  // every rank.
  absl::StatusOr<std::vector<float>> GatherLogits(absl::Span<const int32_t> logit_rows);

  const ModelConfig& config() const { return config_; }
  const ModelOptions& options() const { return options_; }

 private:
  SdarModel(const ModelConfig& config, ShardedWeights weights, const ModelOptions& options,
            Backend& backend, const GroupCommunicators& group);

  absl::Status AllocateBuffers();
  // For finished_rows_.
  absl::Status MakeRoomForLastLayer();
  // Rows that a step of `rows` rows has on the device, where steps are captured.
  int64_t CapturedRows(int64_t rows) const;
  // Copies the step's rows to the device, padded where it is captured, and sets rows_.
  absl::StatusOr<StepLayout> Upload(const StepRows& step, bool captured);
  // All from the embedding to the final norm; without logits, to the last layer's K/V.
  absl::Status RunLayers(const StepRows& step, const StepLayout& layout, bool captured);
  absl::Status RunLastLayer(const StepRows& step, const StepLayout& layout, bool captured);
  // Leaves q, k and v in qkv_, and k and v in their pages.
  void ProjectHeads(int layer, const StepLayout& layout);
  // Returns the heads' outputs, all rows of attended_.
  TensorView Attend(int layer, const StepLayout& layout);
  // What follows attention, for the rows that are given. Leaves the MLP's output, summed over
  // ranks, in delta_, not yet added to the residual.
  absl::Status FinishLayer(int layer, bool captured, const TensorView& attended,
                           const TensorView& residual);
  absl::Status RunMlp(int layer, bool captured, const TensorView& normed);
  // Copies the logit rows of x to memory that has room for them.
  TensorView KeepLogitRows(const StepRows& step, const TensorView& x, const DeviceBuffer& memory);
  absl::StatusOr<std::vector<LogitSummary>> Summarize(const StepRows& step);
  absl::StatusOr<std::vector<LogitSummary>> MergeShards(const std::vector<LogitSummary>& mine);

  // Views of the step's rows over the buffers below.
  TensorView Act(const DeviceBuffer& buffer, int64_t rows, int64_t cols) const;
  static TensorView F32(const DeviceBuffer& buffer, int64_t rows, int64_t cols);

  ModelConfig config_;
  ShardedWeights weights_;
  ModelOptions options_;
  Backend& backend_;
  GroupCommunicators group_;
  AttentionShape attention_;
  std::unique_ptr<KvCache> kv_cache_;
  std::unique_ptr<ExpertExchange> exchange_;

  DeviceBuffer residual_, delta_;  // [rows, hidden] float32
  DeviceBuffer normed_;            // [rows, hidden] act
  DeviceBuffer qkv_;               // [rows, (heads + 2 kv_heads) * head_dim] float32
  DeviceBuffer attended_;          // [rows, heads * head_dim] act
  DeviceBuffer gate_up_, inner_;   // [rows, 2 * columns] float32; [rows, columns] act
  DeviceBuffer rope_frequencies_;  // [head_dim / 2] float32
  float rope_scale_ = 1;
  DeviceBuffer ids_, positions_, logit_rows_, kv_slots_, segments_, page_table_;
  DeviceBuffer last_residual_;      // [logit rows, hidden] float32, of the last layer
  DeviceBuffer logits_;             // [logit rows, vocabulary shard] float32, z after a Forward
  int64_t page_table_version_ = 0;  // how often page_table_ has moved
  bool may_capture_ = false;
  int64_t row_capacity_ = 0;  // of the buffers above
  int64_t rows_ = 0;          // of the last step, padded
  // Of those, how many the last layer finishes: the ones with logits, or all where the step is
  // captured, as it must do the same whichever rows get logits.
  int64_t finished_rows_ = 0;
};

}  // namespace sdar
