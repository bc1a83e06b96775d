// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any text as config.json and, against what that gives, as
// generation_config.json. Whatever parses must be safe to compute with.
#include <cstddef>
#include <cstdint>

#include "common/status_macros.h"
#include "runtime/checkpoint/generation_config.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/shard_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  sdar::ModelConfig config;
  config.vocab_size = 1000;
  if (const auto parsed = sdar::ParseModelConfig(text, "config.json"); parsed.ok()) {
    config = *parsed;
    SDAR_CHECK(config.NumParameters() > 0);
    SDAR_CHECK(config.NumActiveParameters() > 0);
    for (int ranks : sdar::WorkingRankCounts(config)) {
      const sdar::ShardPlan shard = sdar::PlanShard(config, ranks, ranks - 1);
      SDAR_CHECK(sdar::WeightBytes(config, shard, sdar::DType::kFloat32) > 0);
      SDAR_CHECK(sdar::KvBytesPerToken(config, shard, sdar::DType::kFloat32) > 0);
    }
    SDAR_CHECK(sdar::ParseModelConfig(sdar::DumpJson(sdar::ToJson(config)), "again").ok());
  }
  (void)sdar::ParseGenerationConfig(text, "generation_config.json", config);
  return 0;
}
