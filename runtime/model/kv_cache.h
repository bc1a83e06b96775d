// SPDX-License-Identifier: Apache-2.0
// One rank's K/V memory: pages of every layer, for the K/V heads this rank owns.
#pragma once

#include <vector>

#include "absl/status/statusor.h"

#include "kernels/backend.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/shard_plan.h"

namespace sdar {

// Shape of the K/V memory, the same on every rank.
struct KvCacheConfig {
  int64_t num_pages = 0;
  int64_t page_size = 64;  // positions; a multiple of every block length in use
};

// Pages that `memory_bytes` hold on every rank: the rank with the most K/V bytes per token decides.
int64_t PagesThatFit(const ModelConfig& config, int ranks, DType dtype, int64_t page_size,
                     int64_t memory_bytes);

class KvCache {
 public:
  // ResourceExhausted when the device has no room.
  static absl::StatusOr<KvCache> Create(const ModelConfig& config, const ShardPlan& shard,
                                        const KvCacheConfig& cache, Backend& backend);

  const KvCacheConfig& config() const { return config_; }
  const KvPages& layer(int index) const { return layers_[static_cast<size_t>(index)]; }

 private:
  KvCacheConfig config_;
  std::vector<DeviceBuffer> storage_;
  std::vector<KvPages> layers_;
};

}  // namespace sdar
