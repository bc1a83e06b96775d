// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/shard_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sdar {
namespace {

// The K/V heads that `ranks` ranks split or share, for rank `rank`.
Range KvHeadsOf(int num_kv_heads, int ranks, int rank) {
  if (ranks <= num_kv_heads) return SplitEvenly(num_kv_heads, ranks, rank);
  const int head = rank / (ranks / num_kv_heads);
  return {head, head + 1};
}

}  // namespace

Range SplitEvenly(int64_t n, int parts, int index) {
  const int64_t size = n / parts;
  const int64_t longer = n % parts;
  const int64_t begin = index * size + std::min<int64_t>(index, longer);
  return {begin, begin + size + (index < longer ? 1 : 0)};
}

int PartOf(int64_t n, int parts, int64_t element) {
  const int64_t size = n / parts;
  const int64_t longer = n % parts;
  const int64_t in_longer = longer * (size + 1);
  if (element < in_longer) return static_cast<int>(element / (size + 1));
  return static_cast<int>(longer + (element - in_longer) / size);
}

bool RankCountWorks(const ModelConfig& config, int ranks) {
  return ranks >= 1 && config.num_heads % ranks == 0 &&
         (config.num_kv_heads % ranks == 0 || ranks % config.num_kv_heads == 0);
}

std::vector<int> WorkingRankCounts(const ModelConfig& config) {
  std::vector<int> counts;
  for (int ranks = 1; ranks <= config.num_heads; ++ranks) {
    if (RankCountWorks(config, ranks)) counts.push_back(ranks);
  }
  return counts;
}

absl::Status CheckRankCount(const ModelConfig& config, int ranks) {
  if (RankCountWorks(config, ranks)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a model with ", config.num_heads, " attention heads and ", config.num_kv_heads,
                   " K/V heads cannot be split over ", ranks, " ranks; the counts that work are ",
                   absl::StrJoin(WorkingRankCounts(config), ", ")));
}

ShardPlan PlanShard(const ModelConfig& config, int ranks, int rank) {
  ShardPlan shard;
  shard.heads = SplitEvenly(config.num_heads, ranks, rank);
  shard.kv_heads = KvHeadsOf(config.num_kv_heads, ranks, rank);
  shard.mlp_columns = SplitEvenly(config.intermediate_size, ranks, rank);
  shard.experts = SplitEvenly(config.num_experts, ranks, rank);
  shard.vocabulary = SplitEvenly(config.vocab_size, ranks, rank);
  return shard;
}

int64_t WeightBytes(const ModelConfig& config, const ShardPlan& shard, DType dtype) {
  const int64_t hidden = config.hidden_size;
  const int64_t head_rows = (shard.heads.size() + shard.kv_heads.size()) * config.head_dim;
  const int64_t attention = 2 * hidden * head_rows + 2 * hidden + 2 * config.head_dim;
  const int64_t experts = shard.experts.size() * 3 * hidden * config.moe_intermediate_size +
                          config.num_experts * hidden;
  const int64_t mlp = 3 * hidden * shard.mlp_columns.size();
  const int64_t num_sparse = config.NumSparseLayers();
  const int64_t tables = (config.IsTied() ? 1 : 2) * shard.vocabulary.size() * hidden;
  const int64_t count = tables + hidden + config.num_layers * attention + num_sparse * experts +
                        (config.num_layers - num_sparse) * mlp;
  return count * static_cast<int64_t>(SizeOf(dtype));
}

int64_t KvBytesPerToken(const ModelConfig& config, const ShardPlan& shard, DType dtype) {
  return 2 * shard.kv_heads.size() * config.head_dim * config.num_layers *
         static_cast<int64_t>(SizeOf(dtype));
}

}  // namespace sdar
