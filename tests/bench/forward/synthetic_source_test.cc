// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/synthetic_source.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "kernels/cpu/cpu_backend.h"
#include "runtime/model/sharded_weights.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// All bytes of a shard's matrices, one string for each.
std::vector<std::string> BytesOf(const ShardedWeights& weights) {
  std::vector<std::string> bytes;
  const auto add = [&](const DeviceBuffer& buffer) {
    bytes.emplace_back(static_cast<const char*>(buffer.data()), buffer.size_bytes());
  };
  add(weights.embed_storage);
  add(weights.lm_head.storage);
  for (const LayerWeights& layer : weights.layers) {
    for (const PackedWeight* weight :
         {&layer.qkv, &layer.o, &layer.gate_up, &layer.down, &layer.router}) {
      add(weight->storage);
    }
    add(layer.input_norm.storage);
    for (const PackedWeight& weight : layer.experts.gate_up) add(weight.storage);
    for (const PackedWeight& weight : layer.experts.down) add(weight.storage);
  }
  return bytes;
}

std::vector<std::string> LoadBytes(const ModelConfig& config, const TensorSource& source,
                                   int rank) {
  auto backend = CpuBackend::Create({}).value();
  auto weights =
      LoadShardedWeights(config, source, {2, rank, WeightFormat::kAct}, *backend, Progress());
  EXPECT_TRUE(weights.ok()) << weights.status();
  return BytesOf(*weights);
}

TEST(SyntheticSourceTest, EveryRankGetsItsPartOfTheCheckpointOfSeedZero) {
  for (const ModelConfig& config : {SmallDenseConfig(), SmallMoeConfig()}) {
    const TempCheckpoint folder(config, uint64_t{1} << 32, 0);
    SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
    const SyntheticSource source(config);
    for (int rank : {0, 1}) {
      const auto made_up = [&](absl::string_view name) { return source.Find(name); };
      const auto stored = [&](absl::string_view name) { return checkpoint.Find(name); };
      EXPECT_EQ(LoadBytes(config, made_up, rank), LoadBytes(config, stored, rank));
    }
  }
}

// Rows of a layer's router as float32.
std::vector<float> RouterOf(Routing routing) {
  const SyntheticSource source(SmallMoeConfig(), routing);
  const TensorData router = source.Find(LayerTensorName(0, "mlp.gate")).value();
  std::vector<float> values(router.bytes.size() / SizeOf(router.dtype));
  ConvertToFloat(router.dtype, router.bytes.data(), values.size(), values.data());
  return values;
}

TEST(SyntheticSourceTest, AHotRouterIsZeros) { EXPECT_THAT(RouterOf(Routing::kHot), Each(0.0f)); }

TEST(SyntheticSourceTest, ASkewedRoutersRowsAreScaled) {
  const ModelConfig config = SmallMoeConfig();
  const std::vector<float> values = RouterOf(Routing::kSkewed);
  const uint64_t key = SyntheticKey(0, LayerTensorName(0, "mlp.gate"));
  const auto cols = static_cast<size_t>(config.hidden_size);
  ASSERT_EQ(values.size(), static_cast<size_t>(config.num_experts) * cols);
  for (size_t i = 0; i < values.size(); ++i) {
    const float whole = ToFloat(ToBFloat16(SyntheticWeight(key, i)));
    const float scale = RouterRowScale(config, Routing::kSkewed, static_cast<int64_t>(i / cols));
    EXPECT_EQ(values[i], ToFloat(ToBFloat16(whole * scale))) << i;
  }
}

TEST(SyntheticSourceTest, AnUnknownTensorIsNotFound) {
  EXPECT_THAT(SyntheticSource(SmallDenseConfig()).Find("model.layers.7.mlp.gate.weight"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("layers.7")));
}

}  // namespace
}  // namespace sdar
