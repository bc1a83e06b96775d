// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/sdar_model.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "common/status_macros.h"
#include "runtime/checkpoint/shard_plan.h"
#include "runtime/model/rope.h"
#include "runtime/model/step_padding.h"

namespace sdar {

absl::StatusOr<std::unique_ptr<SdarModel>> SdarModel::Create(const ModelConfig& config,
                                                             ShardedWeights weights,
                                                             const ModelOptions& options,
                                                             Backend& backend,
                                                             const GroupCommunicators& group) {
  auto model = std::unique_ptr<SdarModel>(
      new SdarModel(config, std::move(weights), options, backend, group));
  SDAR_ASSIGN_OR_RETURN(KvCache cache,
                        KvCache::Create(config, model->weights_.shard, options.kv_cache, backend));
  model->kv_cache_ = std::make_unique<KvCache>(std::move(cache));
  SDAR_ASSIGN_OR_RETURN(
      ExpertExchange exchange,
      ExpertExchange::Create(config, options.moe_exchange, model->row_capacity_, backend, group));
  model->exchange_ = std::make_unique<ExpertExchange>(std::move(exchange));
  SDAR_RETURN_IF_ERROR(model->AllocateBuffers());
  return model;
}

SdarModel::SdarModel(const ModelConfig& config, ShardedWeights weights, const ModelOptions& options,
                     Backend& backend, const GroupCommunicators& group)
    : config_(config),
      weights_(std::move(weights)),
      options_(options),
      backend_(backend),
      group_(group) {
  attention_.num_heads = weights_.shard.heads.size();
  attention_.num_kv_heads = weights_.shard.kv_heads.size();
  attention_.head_dim = config_.head_dim;
  attention_.rms_norm_eps = static_cast<float>(config_.rms_norm_eps);
  row_capacity_ = options.max_rows;
  // Collectives over the host's memory are not the device's to capture.
  may_capture_ =
      backend.captures() && (group.tensors->size() == 1 || group.tensors != group.control);
  if (may_capture_) {
    row_capacity_ =
        std::max(row_capacity_, CapturedRows(std::min(row_capacity_, kMostCapturedRows)));
  }
}

int64_t SdarModel::CapturedRows(int64_t rows) const {
  const bool equal_slices = options_.moe_exchange == MoeExchange::kAllToAll;
  return PaddedSize(rows, equal_slices ? group_.tensors->size() : 1);
}

absl::Status SdarModel::AllocateBuffers() {
  const int64_t heads = attention_.num_heads * config_.head_dim;
  const int64_t qkv = heads + 2 * attention_.num_kv_heads * config_.head_dim;
  const int64_t columns = weights_.shard.mlp_columns.size();
  const int64_t act = static_cast<int64_t>(SizeOf(backend_.act_dtype()));
  struct Sized {
    DeviceBuffer* buffer;
    int64_t row_bytes;
  };
  const Sized sized[] = {
      {&residual_, config_.hidden_size * 4},
      {&delta_, config_.hidden_size * 4},
      {&normed_, config_.hidden_size * act},
      {&qkv_, qkv * 4},
      {&attended_, heads * act},
      {&gate_up_, 2 * columns * 4},
      {&inner_, columns * act},
      {&ids_, 4},
      {&positions_, 4},
      {&logit_rows_, 4},
      {&kv_slots_, 8},
  };
  for (const Sized& s : sized) {
    SDAR_ASSIGN_OR_RETURN(*s.buffer,
                          backend_.Allocate(static_cast<size_t>(row_capacity_ * s.row_bytes)));
  }
  const RopeTable rope = MakeRopeTable(config_);
  const size_t rope_bytes = rope.frequencies.size() * sizeof(float);
  SDAR_ASSIGN_OR_RETURN(rope_frequencies_, backend_.Allocate(rope_bytes));
  backend_.CopyToDevice(rope.frequencies.data(), rope_bytes, rope_frequencies_.data());
  rope_scale_ = rope.scale;
  // One per row at most, one for the padding, and as many as that is padded to.
  const int64_t segments = PaddedSize(row_capacity_ + 1, 1);
  SDAR_ASSIGN_OR_RETURN(
      segments_, backend_.Allocate(static_cast<size_t>(segments) * sizeof(AttentionSegment)));
  return absl::OkStatus();
}

TensorView SdarModel::Act(const DeviceBuffer& buffer, int64_t rows, int64_t cols) const {
  return MakeView(buffer.data(), backend_.act_dtype(), rows, cols);
}

TensorView SdarModel::F32(const DeviceBuffer& buffer, int64_t rows, int64_t cols) {
  return MakeView(buffer.data(), DType::kFloat32, rows, cols);
}

absl::StatusOr<StepLayout> SdarModel::Upload(const StepRows& step, bool captured) {
  const size_t table_bytes = step.page_table.size() * sizeof(int32_t);
  if (page_table_.size_bytes() < table_bytes) {
    SDAR_ASSIGN_OR_RETURN(page_table_, backend_.Allocate(2 * table_bytes));
    ++page_table_version_;
  }
  RowInputs inputs = {step.token_ids, step.positions, step.kv_slots, step.segments};
  rows_ = static_cast<int64_t>(step.token_ids.size());
  if (captured) {
    const int64_t added = CapturedRows(rows_) - rows_;
    rows_ += added;
    const auto segments = static_cast<int64_t>(step.segments.size()) + (added > 0 ? 1 : 0);
    Pad(rows_, PaddedSize(segments, 1), inputs);
  }
  const auto copy = [this](const auto& from, const DeviceBuffer& to) {
    backend_.CopyToDevice(from.data(), from.size() * sizeof(from[0]), to.data());
  };
  copy(inputs.token_ids, ids_);
  copy(inputs.positions, positions_);
  copy(inputs.kv_slots, kv_slots_);
  copy(inputs.segments, segments_);
  copy(step.logit_rows, logit_rows_);
  copy(step.page_table, page_table_);

  StepLayout layout;
  layout.num_rows = rows_;
  layout.positions = static_cast<const int32_t*>(positions_.data());
  layout.kv_slots = static_cast<const int64_t*>(kv_slots_.data());
  layout.segments = static_cast<const AttentionSegment*>(segments_.data());
  layout.num_segments = static_cast<int64_t>(inputs.segments.size());
  layout.page_table = static_cast<const int32_t*>(page_table_.data());
  return layout;
}

absl::Status SdarModel::MakeRoomForLastLayer() {
  const auto needed = static_cast<size_t>(finished_rows_ * config_.hidden_size) * sizeof(float);
  if (last_residual_.size_bytes() >= needed) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(last_residual_, backend_.Allocate(needed));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LogitSummary>> SdarModel::Forward(const StepRows& step) {
  const auto rows = static_cast<int64_t>(step.token_ids.size());
  SDAR_CHECK(rows > 0 && rows <= options_.max_rows);
  const bool captured =
      may_capture_ && rows <= kMostCapturedRows && exchange_->CanCapture(CapturedRows(rows));
  const bool has_logits = !step.logit_rows.empty();
  SDAR_ASSIGN_OR_RETURN(const StepLayout layout, Upload(step, captured));
  const bool whole = captured || options_.whole_last_layer;
  finished_rows_ = whole ? rows_ : static_cast<int64_t>(step.logit_rows.size());
  if (finished_rows_ < rows_) SDAR_RETURN_IF_ERROR(MakeRoomForLastLayer());
  const auto run = [&] { return RunLayers(step, layout, captured); };
  if (captured) {
    SDAR_RETURN_IF_ERROR(backend_.Repeat(
        {rows_, layout.num_segments, has_logits ? 1 : 0, page_table_version_}, run));
  } else {
    SDAR_RETURN_IF_ERROR(run());
  }
  if (has_logits) return Summarize(step);
  SDAR_RETURN_IF_ERROR(backend_.Synchronize());
  return std::vector<LogitSummary>();
}

absl::Status SdarModel::RunLayers(const StepRows& step, const StepLayout& layout, bool captured) {
  const TensorView residual = F32(residual_, rows_, config_.hidden_size);
  backend_.Run(op::Embed{weights_.embed, weights_.shard.vocabulary.begin,
                         static_cast<const int32_t*>(ids_.data()), residual});
  SDAR_RETURN_IF_ERROR(
      group_.tensors->AllReduceSum(residual.Row<float>(0), rows_ * config_.hidden_size));
  for (int layer = 0; layer + 1 < config_.num_layers; ++layer) {
    ProjectHeads(layer, layout);
    SDAR_RETURN_IF_ERROR(FinishLayer(layer, captured, Attend(layer, layout), residual));
  }
  return RunLastLayer(step, layout, captured);
}

// Nothing reads what the last layer makes of a row without logits but its K/V.
absl::Status SdarModel::RunLastLayer(const StepRows& step, const StepLayout& layout,
                                     bool captured) {
  const int layer = config_.num_layers - 1;
  const bool has_logits = !step.logit_rows.empty();
  ProjectHeads(layer, layout);
  if (!has_logits && !options_.whole_last_layer) return absl::OkStatus();
  TensorView attended = Attend(layer, layout);
  TensorView residual = F32(residual_, rows_, config_.hidden_size);
  if (finished_rows_ < rows_) {
    attended = KeepLogitRows(step, attended, qkv_);  // attention has consumed that
    residual = KeepLogitRows(step, residual, last_residual_);
  }
  SDAR_RETURN_IF_ERROR(FinishLayer(layer, captured, attended, residual));
  if (!has_logits) return absl::OkStatus();
  const TensorView delta = F32(delta_, finished_rows_, config_.hidden_size);
  backend_.Run(op::AddRmsNorm{delta, weights_.final_norm.view, attention_.rms_norm_eps, residual,
                              Act(normed_, finished_rows_, config_.hidden_size)});
  return absl::OkStatus();
}

void SdarModel::ProjectHeads(int layer, const StepLayout& layout) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const TensorView residual = F32(residual_, rows_, config_.hidden_size);
  const TensorView delta = F32(delta_, rows_, config_.hidden_size);
  const TensorView normed = Act(normed_, rows_, config_.hidden_size);
  const TensorView qkv = F32(qkv_, rows_, w.qkv.rows);
  backend_.Run(op::AddRmsNorm{layer == 0 ? std::nullopt : std::optional(delta), w.input_norm.view,
                              attention_.rms_norm_eps, residual, normed});
  backend_.Run(op::MatMul{w.qkv, normed, qkv});
  const RopeAngles rope = {static_cast<const float*>(rope_frequencies_.data()), rope_scale_};
  backend_.Run(op::QkNormRopeWrite{attention_, rope, layout, w.q_norm.view, w.k_norm.view,
                                   kv_cache_->layer(layer), qkv});
}

TensorView SdarModel::Attend(int layer, const StepLayout& layout) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const TensorView attended = Act(attended_, rows_, w.o.cols);
  backend_.Run(op::BlockAttention{attention_, layout, kv_cache_->layer(layer),
                                  F32(qkv_, rows_, w.qkv.rows), attended});
  return attended;
}

absl::Status SdarModel::FinishLayer(int layer, bool captured, const TensorView& attended,
                                    const TensorView& residual) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const TensorView delta = F32(delta_, attended.rows, config_.hidden_size);
  const TensorView normed = Act(normed_, attended.rows, config_.hidden_size);
  backend_.Run(op::MatMul{w.o, attended, delta});
  SDAR_RETURN_IF_ERROR(
      group_.tensors->AllReduceSum(delta.Row<float>(0), delta.rows * config_.hidden_size));
  backend_.Run(
      op::AddRmsNorm{delta, w.post_attention_norm.view, attention_.rms_norm_eps, residual, normed});
  return RunMlp(layer, captured, normed);
}

absl::Status SdarModel::RunMlp(int layer, bool captured, const TensorView& normed) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const TensorView delta = F32(delta_, normed.rows, config_.hidden_size);
  if (config_.IsSparse(layer)) {
    return exchange_->Run(w.router, w.experts, normed, captured, delta);
  }
  const int64_t columns = weights_.shard.mlp_columns.size();
  if (columns == 0) {
    backend_.Run(op::Clear{delta});
  } else {
    const TensorView inner = Act(inner_, normed.rows, columns);
    const TensorView gate_up = F32(gate_up_, normed.rows, 2 * columns);
    backend_.Run(op::MatMul{w.gate_up, normed, gate_up});
    backend_.Run(op::SwiGlu{gate_up, inner});
    backend_.Run(op::MatMul{w.down, inner, delta});
  }
  return group_.tensors->AllReduceSum(delta.Row<float>(0), delta.rows * config_.hidden_size);
}

TensorView SdarModel::KeepLogitRows(const StepRows& step, const TensorView& x,
                                    const DeviceBuffer& memory) {
  const TensorView kept =
      MakeView(memory.data(), x.dtype, static_cast<int64_t>(step.logit_rows.size()), x.cols);
  backend_.Run(op::GatherRows{x, static_cast<const int32_t*>(logit_rows_.data()), kept});
  return kept;
}

absl::StatusOr<std::vector<LogitSummary>> SdarModel::Summarize(const StepRows& step) {
  const auto count = static_cast<int64_t>(step.logit_rows.size());
  const Range vocabulary = weights_.shard.vocabulary;
  const auto needed = static_cast<size_t>(count * vocabulary.size()) * sizeof(float);
  if (logits_.size_bytes() < needed) {
    SDAR_ASSIGN_OR_RETURN(logits_, backend_.Allocate(needed));
  }
  std::vector<LogitSummary> mine(step.logit_rows.size());
  if (vocabulary.size() > 0) {
    TensorView normed = Act(normed_, finished_rows_, config_.hidden_size);
    // The final norm has consumed delta_.
    if (count < finished_rows_) normed = KeepLogitRows(step, normed, delta_);
    const TensorView logits = F32(logits_, count, vocabulary.size());
    backend_.Run(op::MatMul{weights_.lm_head, normed, logits});
    backend_.Run(op::SummarizeLogits{
        {vocabulary.begin, step.forbidden, step.logit_specs}, logits, absl::MakeSpan(mine)});
  }
  SDAR_RETURN_IF_ERROR(backend_.Synchronize());
  return MergeShards(mine);
}

absl::StatusOr<std::vector<LogitSummary>> SdarModel::MergeShards(
    const std::vector<LogitSummary>& mine) {
  const auto ranks = static_cast<size_t>(group_.control->size());
  if (ranks == 1) return mine;
  const std::vector<int64_t> bytes(ranks, static_cast<int64_t>(mine.size() * sizeof(LogitSummary)));
  std::vector<LogitSummary> all(mine.size() * ranks);
  SDAR_RETURN_IF_ERROR(group_.control->AllGather(mine.data(), bytes, all.data()));
  std::vector<LogitSummary> merged;
  std::vector<LogitSummary> shards(ranks);
  for (size_t row = 0; row < mine.size(); ++row) {
    for (size_t r = 0; r < ranks; ++r) shards[r] = all[r * mine.size() + row];
    merged.push_back(Merge(shards));
  }
  return merged;
}

absl::StatusOr<std::vector<float>> SdarModel::GatherLogits(absl::Span<const int32_t> logit_rows) {
  const int ranks = group_.control->size();
  const int64_t count = static_cast<int64_t>(logit_rows.size());
  const int64_t width = weights_.shard.vocabulary.size();
  std::vector<float> mine(static_cast<size_t>(count * width));
  for (int64_t i = 0; i < count; ++i) {
    const auto* row =
        static_cast<const float*>(logits_.data()) + logit_rows[static_cast<size_t>(i)] * width;
    backend_.CopyToHost(row, static_cast<size_t>(width) * sizeof(float), mine.data() + i * width);
  }
  SDAR_RETURN_IF_ERROR(backend_.Synchronize());

  std::vector<Range> shards;
  std::vector<int64_t> bytes;
  for (int r = 0; r < ranks; ++r) {
    shards.push_back(PlanShard(config_, ranks, r).vocabulary);
    bytes.push_back(count * shards.back().size() * static_cast<int64_t>(sizeof(float)));
  }
  std::vector<float> gathered(static_cast<size_t>(count * config_.vocab_size));
  SDAR_RETURN_IF_ERROR(group_.control->AllGather(mine.data(), bytes, gathered.data()));
  std::vector<float> out(gathered.size());
  const float* from = gathered.data();
  for (const Range& shard : shards) {
    for (int64_t i = 0; i < count; ++i, from += shard.size()) {
      std::copy_n(from, shard.size(), out.data() + i * config_.vocab_size + shard.begin);
    }
  }
  return out;
}

}  // namespace sdar
