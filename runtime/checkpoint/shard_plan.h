// SPDX-License-Identifier: Apache-2.0
// Which part of a model each rank of a group owns, and what that costs in memory. Pure functions of
// the config; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

#include "common/dtype.h"
#include "runtime/checkpoint/model_config.h"

namespace sdar {

// The indices begin .. end - 1.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

// Part `index` of `parts` of 0 .. n - 1, in order; the first n % parts are one longer.
// Requires: n >= 0, 0 <= index < parts.
Range SplitEvenly(int64_t n, int parts, int index);

// The part of SplitEvenly(n, parts, .) that holds `element`. Requires: 0 <= element < n.
int PartOf(int64_t n, int parts, int64_t element);

// True when `ranks` divides the attention heads and either divides the K/V heads or is a multiple
// of them.
bool RankCountWorks(const ModelConfig& config, int ranks);

// Every rank count that works, ascending; 1 is the first and num_heads the last.
std::vector<int> WorkingRankCounts(const ModelConfig& config);

// InvalidArgument names the count and lists those that work.
absl::Status CheckRankCount(const ModelConfig& config, int ranks);

// What one rank owns. Norms and routers are on every rank.
struct ShardPlan {
  Range heads;        // attention heads
  Range kv_heads;     // several ranks own the same one when ranks exceed the K/V heads
  Range mlp_columns;  // of intermediate_size, in dense layers; may be uneven or empty
  Range experts;      // in sparse layers; may be uneven or empty
  Range vocabulary;   // rows of the embedding and of lm_head; may be uneven or empty
};

// Requires: CheckRankCount(config, ranks) is OK, 0 <= rank < ranks.
ShardPlan PlanShard(const ModelConfig& config, int ranks, int rank);

// Bytes of the weights that `shard` covers when all are kept in `dtype`.
int64_t WeightBytes(const ModelConfig& config, const ShardPlan& shard, DType dtype);

// Bytes of keys and values of one token in all layers on the rank that owns `shard`.
int64_t KvBytesPerToken(const ModelConfig& config, const ShardPlan& shard, DType dtype);

}  // namespace sdar
