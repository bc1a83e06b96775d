// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/remasking.h"

#include <algorithm>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;

constexpr RemaskingStrategy kStrategies[] = {
    RemaskingStrategy::kSequential, RemaskingStrategy::kLowConfidenceStatic,
    RemaskingStrategy::kLowConfidenceDynamic, RemaskingStrategy::kEntropyBounded};

RemaskingOptions Options(RemaskingStrategy strategy, int block_length, int steps) {
  RemaskingOptions options;
  options.block_length = block_length;
  options.denoising_steps = steps;
  options.strategy = strategy;
  return options;
}

// Masked positions 0, 1, ... with these confidences and entropies.
std::vector<MaskedPosition> WithConfidences(const std::vector<double>& values) {
  std::vector<MaskedPosition> masked;
  for (double v : values) masked.push_back({static_cast<int>(masked.size()), v, 0});
  return masked;
}
std::vector<MaskedPosition> WithEntropies(const std::vector<double>& values) {
  std::vector<MaskedPosition> masked;
  for (double v : values) masked.push_back({static_cast<int>(masked.size()), 0, v});
  return masked;
}

TEST(QuotaTest, QuotasAddUpToTheBlock) {
  for (int block = 1; block <= 64; ++block) {
    for (int steps = 1; steps <= block; ++steps) {
      int sum = 0;
      for (int step = 0; step < steps; ++step) {
        sum += RevealQuota(Options(RemaskingStrategy::kSequential, block, steps), step);
      }
      EXPECT_EQ(sum, block) << steps << " steps";
    }
  }
}

TEST(QuotaTest, EarlierStepsTakeTheRemainder) {
  const RemaskingOptions options = Options(RemaskingStrategy::kSequential, 16, 5);
  std::vector<int> quotas;
  for (int step = 0; step < 5; ++step) quotas.push_back(RevealQuota(options, step));
  EXPECT_THAT(quotas, ElementsAre(4, 3, 3, 3, 3));
}

TEST(SelectRevealsTest, SequentialTakesTheLeftmost) {
  const auto options = Options(RemaskingStrategy::kSequential, 4, 2);
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.1, 0.9, 0.8, 1})), ElementsAre(0, 1));
}

TEST(SelectRevealsTest, SequentialSkipsRevealedPositions) {
  const auto options = Options(RemaskingStrategy::kSequential, 8, 4);
  const std::vector<MaskedPosition> masked = {{1, 0, 0}, {4, 0, 0}, {7, 0, 0}};
  EXPECT_THAT(SelectReveals(options, 0, masked), ElementsAre(1, 4));
}

TEST(SelectRevealsTest, StaticTakesTheMostConfidentInAscendingOrder) {
  const auto options = Options(RemaskingStrategy::kLowConfidenceStatic, 4, 2);
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.7, 0.1, 0.2, 0.9})), ElementsAre(0, 3));
}

TEST(SelectRevealsTest, StaticBreaksTiesToTheLowestPosition) {
  const auto options = Options(RemaskingStrategy::kLowConfidenceStatic, 4, 2);
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.1, 0.5, 0.5, 0.5})), ElementsAre(1, 2));
}

TEST(SelectRevealsTest, DynamicTakesAllThatAreAboveTheThreshold) {
  const auto options = Options(RemaskingStrategy::kLowConfidenceDynamic, 4, 4);
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.95, 0.1, 0.91, 0.99})),
              ElementsAre(0, 2, 3));
}

TEST(SelectRevealsTest, DynamicTakesItsQuotaWhereNothingIsAboveTheThreshold) {
  const auto options = Options(RemaskingStrategy::kLowConfidenceDynamic, 4, 2);
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.1, 0.2, 0.3, 0.15})), ElementsAre(1, 2));
}

TEST(SelectRevealsTest, AConfidenceAtTheThresholdIsNotAboveIt) {
  auto options = Options(RemaskingStrategy::kLowConfidenceDynamic, 4, 4);
  options.confidence_threshold = 0.5;
  EXPECT_THAT(SelectReveals(options, 0, WithConfidences({0.5, 0.5, 0.75, 0.5})), ElementsAre(2));
}

TEST(SelectRevealsTest, EntropyBoundedTakesTheSurestFirstThenWithinTheBound) {
  auto options = Options(RemaskingStrategy::kEntropyBounded, 4, 4);
  options.entropy_bound = 0.3;
  // 0.1; then 0.1 <= 0.3 takes 0.15; then 0.25 <= 0.3 takes 0.4; then 0.65 stops.
  EXPECT_THAT(SelectReveals(options, 0, WithEntropies({2, 0.15, 0.4, 0.1})), ElementsAre(1, 2, 3));
}

TEST(SelectRevealsTest, EntropyBoundedAlwaysTakesOne) {
  auto options = Options(RemaskingStrategy::kEntropyBounded, 4, 4);
  options.entropy_bound = 0;
  EXPECT_THAT(SelectReveals(options, 0, WithEntropies({3, 2, 4, 5})), ElementsAre(1));
}

TEST(SelectRevealsTest, EntropyBoundedTakesAllThatAreCertainWithABoundOfZero) {
  auto options = Options(RemaskingStrategy::kEntropyBounded, 4, 4);
  options.entropy_bound = 0;
  // A sum of zero is within the bound: two certain ones and the next.
  EXPECT_THAT(SelectReveals(options, 0, WithEntropies({1, 0, 0, 2})), ElementsAre(0, 1, 2));
}

TEST(SelectRevealsTest, EntropyBoundedIgnoresTheQuota) {
  auto options = Options(RemaskingStrategy::kEntropyBounded, 8, 2);
  options.entropy_bound = 0;
  EXPECT_THAT(SelectReveals(options, 0, WithEntropies({3, 2, 4, 5, 6, 7, 8, 9})), ElementsAre(1));
}

TEST(SelectRevealsTest, EntropyBoundedBreaksTiesToTheLowestPosition) {
  auto options = Options(RemaskingStrategy::kEntropyBounded, 4, 4);
  options.entropy_bound = 0.5;
  EXPECT_THAT(SelectReveals(options, 0, WithEntropies({0.4, 0.4, 0.4, 0.4})), ElementsAre(0, 1));
}

TEST(SelectRevealsTest, TheLastStepTakesAllThatIsLeft) {
  for (RemaskingStrategy strategy : kStrategies) {
    for (int steps : {1, 3, 8}) {
      auto options = Options(strategy, 8, steps);
      options.entropy_bound = 0;
      EXPECT_THAT(SelectReveals(options, steps - 1, {{0, 0.1, 9}, {3, 0.2, 9}, {6, 0.3, 9}}),
                  ElementsAre(0, 3, 6));
    }
  }
}

// Over random blocks: at least one, only masked ones, ascending, and at least the quota of those
// left where the strategy has one.
TEST(SelectRevealsTest, RevealsAreASubsetOfTheMaskedPositions) {
  std::mt19937 random(17);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int trial = 0; trial < 20000; ++trial) {
    const int block = 1 + static_cast<int>(random() % 16);
    const int steps = 1 + static_cast<int>(random() % static_cast<unsigned>(block));
    auto options = Options(kStrategies[random() % 4], block, steps);
    options.confidence_threshold = uniform(random);
    options.entropy_bound = uniform(random);
    std::vector<MaskedPosition> masked;
    for (int p = 0; p < block; ++p) {
      if (random() % 2 == 0) masked.push_back({p, uniform(random), uniform(random)});
    }
    if (masked.empty()) masked.push_back({0, 0, 0});
    const int step = static_cast<int>(random() % static_cast<unsigned>(steps));
    const std::vector<int> reveals = SelectReveals(options, step, masked);
    ASSERT_FALSE(reveals.empty());
    EXPECT_TRUE(std::is_sorted(reveals.begin(), reveals.end()));
    EXPECT_EQ(std::adjacent_find(reveals.begin(), reveals.end()), reveals.end());
    for (int p : reveals) {
      EXPECT_TRUE(std::any_of(masked.begin(), masked.end(),
                              [p](const MaskedPosition& m) { return m.position == p; }));
    }
    const int left = static_cast<int>(masked.size());
    if (options.strategy == RemaskingStrategy::kEntropyBounded && step < steps - 1) continue;
    EXPECT_GE(static_cast<int>(reveals.size()), std::min(left, RevealQuota(options, step)));
  }
}

}  // namespace
}  // namespace sdar
