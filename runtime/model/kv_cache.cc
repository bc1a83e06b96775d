// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"

namespace sdar {

int64_t PagesThatFit(const ModelConfig& config, int ranks, DType dtype, int64_t page_size,
                     int64_t memory_bytes) {
  int64_t per_token = 1;
  for (int rank = 0; rank < ranks; ++rank) {
    per_token = std::max(per_token, KvBytesPerToken(config, PlanShard(config, ranks, rank), dtype));
  }
  return memory_bytes / (per_token * page_size);
}

absl::StatusOr<KvCache> KvCache::Create(const ModelConfig& config, const ShardPlan& shard,
                                        const KvCacheConfig& cache, Backend& backend) {
  KvCache out;
  out.config_ = cache;
  const int64_t elements =
      cache.num_pages * shard.kv_heads.size() * cache.page_size * config.head_dim;
  const size_t bytes = static_cast<size_t>(elements) * SizeOf(backend.act_dtype());
  for (int layer = 0; layer < config.num_layers; ++layer) {
    KvPages pages;
    pages.dtype = backend.act_dtype();
    pages.num_kv_heads = shard.kv_heads.size();
    pages.page_size = cache.page_size;
    pages.head_dim = config.head_dim;
    for (void** part : {&pages.keys, &pages.values}) {
      SDAR_ASSIGN_OR_RETURN(DeviceBuffer buffer, backend.Allocate(bytes));
      *part = buffer.data();
      out.storage_.push_back(std::move(buffer));
    }
    out.layers_.push_back(pages);
  }
  return out;
}

}  // namespace sdar
