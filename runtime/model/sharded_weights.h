// SPDX-License-Identifier: Apache-2.0
// One rank's part of a model's weights, packed for its device.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "kernels/backend.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/checkpoint/shard_plan.h"

namespace sdar {

// Where tensors come from: a checkpoint's Find, or made-up weights for benchmarks (of norms it
// gives the bytes). What it returns must stay valid while one packed weight is made of it.
using TensorSource = std::function<absl::StatusOr<TensorData>(absl::string_view name)>;

// A vector [1, n] float32 in device memory.
struct NormWeight {
  DeviceBuffer storage;
  TensorView view;
};

struct LayerWeights {
  NormWeight input_norm;
  NormWeight post_attention_norm;
  NormWeight q_norm;
  NormWeight k_norm;
  PackedWeight
      qkv;         // [(heads + 2 kv_heads) * head_dim, hidden] of this rank: q rows, k rows, v rows
  PackedWeight o;  // [hidden, heads * head_dim of this rank]: partial sums
  // Dense layers; not packed where this rank owns no columns.
  PackedWeight gate_up;  // [2 * columns, hidden]
  PackedWeight down;     // [hidden, columns]: partial sums
  // Sparse layers.
  PackedWeight router;  // [experts, hidden], whole on every rank
  ExpertWeights experts;
};

struct ShardedWeights {
  ShardPlan shard;
  DeviceBuffer embed_storage;
  TensorView embed;  // [vocabulary rows of this rank, hidden] act
  std::vector<LayerWeights> layers;
  NormWeight final_norm;
  PackedWeight lm_head;  // [vocabulary rows of this rank, hidden]
};

// Which part of a model a rank keeps, and how. Norms, the embedding and the router stay as they are
// in every format: they are small, and what a router decides is not to be rounded.
struct WeightOptions {
  int ranks = 1;
  int rank = 0;
  WeightFormat format = WeightFormat::kAct;
};

// Reads and packs a rank's shard; touches no other bytes of a tensor than that shard's rows or
// columns. Reports progress by layers. Errors: the source's, or the device's
// ResourceExhausted, or InvalidArgument for a format that it does not have.
absl::StatusOr<ShardedWeights> LoadShardedWeights(const ModelConfig& config,
                                                  const TensorSource& source,
                                                  const WeightOptions& options, Backend& backend,
                                                  const Progress& progress);

}  // namespace sdar
