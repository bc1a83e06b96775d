// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/synthetic.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/synthetic_weight.h"
#include "runtime/checkpoint/checkpoint.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SyntheticTest, ACheckpointVerifies) {
  for (const ModelConfig& config : {SmallDenseConfig(), SmallMoeConfig()}) {
    const TempCheckpoint whole(config);
    EXPECT_THAT(VerifyCheckpoint(whole.path(), Progress()), IsEmpty());
    const TempCheckpoint shards(config, 1);
    EXPECT_THAT(VerifyCheckpoint(shards.path(), Progress()), IsEmpty());
  }
}

TEST(SyntheticTest, FilesHoldTheWeightsOfTheirSeedAndPlace) {
  const TempCheckpoint folder(SmallDenseConfig(), uint64_t{1} << 32, 7);
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  SDAR_ASSERT_OK_AND_ASSIGN(const TensorData tensor, checkpoint.Find(kEmbedTokensName));
  std::vector<float> values(tensor.bytes.size() / SizeOf(tensor.dtype));
  ConvertToFloat(tensor.dtype, tensor.bytes.data(), values.size(), values.data());
  const uint64_t key = SyntheticKey(7, kEmbedTokensName);
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], ToFloat(ToBFloat16(SyntheticWeight(key, i)))) << i;
  }
}

TEST(SyntheticTest, WeightsAreNearlyNormal) {
  constexpr int kCount = 200000;
  const uint64_t key = SyntheticKey(1, "t");
  double sum = 0.0;
  double squares = 0.0;
  double neighbours = 0.0;
  for (int i = 0; i < kCount; ++i) {
    const double value = SyntheticWeight(key, static_cast<uint64_t>(i));
    sum += value;
    squares += value * value;
    neighbours += value * SyntheticWeight(key, static_cast<uint64_t>(i) + 1);
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.02 * 5 / std::sqrt(kCount));
  EXPECT_NEAR(std::sqrt(squares / kCount), 0.02, 0.0002);
  EXPECT_NEAR(neighbours / squares, 0.0, 5 / std::sqrt(kCount));
}

TEST(SyntheticTest, PartsOfATensorFillAlike) {
  constexpr uint64_t kBegin = (uint64_t{1} << 32) - 50;  // where the index outgrows 32 bits
  std::vector<BFloat16> out(100);
  FillSyntheticTensor(3, "t", kBegin, absl::MakeSpan(out));
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].bits, ToBFloat16(SyntheticWeight(SyntheticKey(3, "t"), kBegin + i)).bits);
  }
}

TEST(SyntheticTest, SeedsNamesAndUpperIndicesDiffer) {
  EXPECT_NE(SyntheticKey(1, "a"), SyntheticKey(2, "a"));
  EXPECT_NE(SyntheticKey(1, "a"), SyntheticKey(1, "b"));
  int same = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    same += SyntheticWeight(5, i) == SyntheticWeight(5, i + (uint64_t{1} << 32)) ? 1 : 0;
  }
  EXPECT_LT(same, 50);
}

TEST(SyntheticTest, NormsAreOne) {
  std::vector<BFloat16> out(4);
  FillSyntheticTensor(3, "model.layers.0.self_attn.q_norm.weight", 0, absl::MakeSpan(out));
  for (BFloat16 value : out) EXPECT_EQ(ToFloat(value), 1.0f);
}

TEST(SyntheticTest, AnUnknownShapeListsTheNames) {
  EXPECT_THAT(SyntheticConfig("9b"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("9b"), HasSubstr("1.7b, 4b, 8b, 30b-a3b"))));
}

TEST(SyntheticTest, AConfigFileIsAShape) {
  const TempCheckpoint folder(SmallMoeConfig());
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config, SyntheticConfig(folder.File("config.json")));
  EXPECT_EQ(config.num_experts, SmallMoeConfig().num_experts);
}

TEST(SyntheticTest, AFolderWithACheckpointIsNotOverwritten) {
  const TempCheckpoint folder(SmallDenseConfig());
  EXPECT_THAT(SynthesizeCheckpoint(SmallDenseConfig(), folder.path(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("config.json")));
}

TEST(SyntheticTest, StoppingLeavesNothingBehind) {
  const TempFolder folder;
  std::atomic<bool> stop = false;
  SynthesizeOptions options;
  options.max_file_bytes = 1;
  options.stop = &stop;
  options.progress = [&stop](double fraction) { stop = fraction > 0.5; };
  EXPECT_THAT(SynthesizeCheckpoint(SmallDenseConfig(), folder.path(), options),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("removed")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace sdar
