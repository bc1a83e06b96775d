// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/shard_plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SplitEvenlyTest, CoversEverythingOnceInOrderAndLongerPartsFirst) {
  for (int64_t n : {0, 1, 5, 8, 127, 151936}) {
    for (int parts = 1; parts <= 17; ++parts) {
      int64_t next = 0;
      for (int i = 0; i < parts; ++i) {
        const Range range = SplitEvenly(n, parts, i);
        EXPECT_EQ(range.begin, next);
        EXPECT_EQ(range.size(), n / parts + (i < n % parts ? 1 : 0));
        next = range.end;
      }
      EXPECT_EQ(next, n);
    }
  }
}

TEST(SplitEvenlyTest, PartOfFindsThePartThatHoldsAnElement) {
  for (int64_t n : {1, 5, 8, 127}) {
    for (int parts = 1; parts <= 17; ++parts) {
      for (int64_t element = 0; element < n; ++element) {
        const Range range = SplitEvenly(n, parts, PartOf(n, parts, element));
        EXPECT_TRUE(range.begin <= element && element < range.end) << n << " " << parts;
      }
    }
  }
}

class ShardPlanTest : public ::testing::TestWithParam<std::string> {
 protected:
  ModelConfig config_ = *SyntheticConfig(GetParam());
};

TEST_P(ShardPlanTest, EveryRankOwnsTheKvHeadsOfItsHeads) {
  const int group = config_.num_heads / config_.num_kv_heads;
  for (int ranks : WorkingRankCounts(config_)) {
    for (int rank = 0; rank < ranks; ++rank) {
      const ShardPlan shard = PlanShard(config_, ranks, rank);
      EXPECT_EQ(shard.heads.size(), config_.num_heads / ranks);
      EXPECT_EQ(shard.kv_heads.begin, shard.heads.begin / group);
      EXPECT_EQ(shard.kv_heads.end, (shard.heads.end + group - 1) / group);
    }
  }
}

TEST_P(ShardPlanTest, RanksCoverHeadsColumnsExpertsAndVocabularyOnce) {
  for (int ranks : WorkingRankCounts(config_)) {
    ShardPlan next;
    for (int rank = 0; rank < ranks; ++rank) {
      const ShardPlan shard = PlanShard(config_, ranks, rank);
      EXPECT_EQ(shard.heads.begin, next.heads.end);
      EXPECT_EQ(shard.mlp_columns.begin, next.mlp_columns.end);
      EXPECT_EQ(shard.experts.begin, next.experts.end);
      EXPECT_EQ(shard.vocabulary.begin, next.vocabulary.end);
      next = shard;
    }
    EXPECT_EQ(next.heads.end, config_.num_heads);
    EXPECT_EQ(next.mlp_columns.end, config_.intermediate_size);
    EXPECT_EQ(next.experts.end, config_.num_experts);
    EXPECT_EQ(next.vocabulary.end, config_.vocab_size);
  }
}

TEST_P(ShardPlanTest, OneRankHoldsEveryParameter) {
  EXPECT_EQ(WeightBytes(config_, PlanShard(config_, 1, 0), DType::kBFloat16),
            config_.NumParameters() * 2);
}

TEST_P(ShardPlanTest, RankZeroIsTheLargest) {
  for (int ranks : WorkingRankCounts(config_)) {
    const int64_t first = WeightBytes(config_, PlanShard(config_, ranks, 0), DType::kBFloat16);
    for (int rank = 1; rank < ranks; ++rank) {
      EXPECT_LE(WeightBytes(config_, PlanShard(config_, ranks, rank), DType::kBFloat16), first);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ShardPlanTest, ::testing::ValuesIn(SyntheticShapeNames()),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST(RankCountTest, WorksWhenItDividesHeadsAndFitsTheKvHeads) {
  EXPECT_THAT(WorkingRankCounts(*SyntheticConfig("30b-a3b")), ElementsAre(1, 2, 4, 8, 16, 32));
  ModelConfig config = SmallDenseConfig();
  config.num_heads = 12;
  config.num_kv_heads = 4;
  EXPECT_THAT(WorkingRankCounts(config), ElementsAre(1, 2, 4, 12));  // not 3 and not 6
}

TEST(RankCountTest, TheErrorListsTheCountsThatWork) {
  EXPECT_THAT(CheckRankCount(*SyntheticConfig("8b"), 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("3 ranks"), HasSubstr("1, 2, 4, 8, 16, 32"))));
  EXPECT_FALSE(CheckRankCount(*SyntheticConfig("8b"), 0).ok());
  EXPECT_THAT(CheckRankCount(*SyntheticConfig("8b"), 32), IsOk());
}

TEST(KvBytesTest, AreThoseOfTheLargePublishedModel) {
  const ModelConfig config = *SyntheticConfig("30b-a3b");
  EXPECT_EQ(KvBytesPerToken(config, PlanShard(config, 1, 0), DType::kBFloat16), 98304);
  EXPECT_EQ(KvBytesPerToken(config, PlanShard(config, 4, 3), DType::kBFloat16), 98304 / 4);
  EXPECT_EQ(KvBytesPerToken(config, PlanShard(config, 8, 7), DType::kBFloat16), 98304 / 4);
}

}  // namespace
}  // namespace sdar
