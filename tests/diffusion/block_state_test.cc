// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/block_state.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr TokenId kMask = 99;

RemaskingOptions Sequential(int block_length, int steps) {
  RemaskingOptions options;
  options.block_length = block_length;
  options.denoising_steps = steps;
  options.strategy = RemaskingStrategy::kSequential;
  return options;
}

Choice Chosen(TokenId id) { return {id, -0.5, 0.6, 0.25}; }

TEST(BlockStateTest, StartsWithMasksBehindWhatIsGiven) {
  const BlockState block(4, {7, 8}, kMask);
  EXPECT_THAT(block.token_ids(), ElementsAre(7, 8, kMask, kMask));
  EXPECT_THAT(block.MaskedPositions(), ElementsAre(2, 3));
  EXPECT_EQ(block.num_given(), 2);
  EXPECT_EQ(block.FinalPrefix(), 2);
  EXPECT_EQ(block.step(), 0);
  EXPECT_FALSE(block.IsDone());
}

TEST(BlockStateTest, AGivenMaskTokenIsATokenAndNoMask) {
  const BlockState block(4, {kMask}, kMask);
  EXPECT_FALSE(block.IsMasked(0));
  EXPECT_THAT(block.MaskedPositions(), ElementsAre(1, 2, 3));
}

TEST(BlockStateTest, ARevealedMaskTokenStaysRevealed) {
  BlockState block(2, {}, kMask);
  block.Advance(Sequential(2, 2), {Chosen(kMask), Chosen(1)});
  EXPECT_FALSE(block.IsMasked(0));
  EXPECT_TRUE(block.IsMasked(1));
}

TEST(BlockStateTest, KeepsWhatIsKnownOfARevealedToken) {
  BlockState block(2, {5}, kMask);
  EXPECT_THAT(block.Advance(Sequential(2, 1), {{3, -0.25, 0.77, 0.5}}), ElementsAre(1));
  EXPECT_EQ(block.token(1).id, 3);
  EXPECT_EQ(block.token(1).logprob, -0.25);
  EXPECT_EQ(block.token(1).entropy, 0.5);
  EXPECT_EQ(block.token(1).step, 0);
  EXPECT_THAT(block.token(1).top, IsEmpty());
  block.SetTop(1, {{3, -0.25}, {4, -2}});
  EXPECT_EQ(block.token(1).top.size(), 2u);
}

TEST(BlockStateTest, FinalPrefixEndsAtTheFirstMask) {
  RemaskingOptions options = Sequential(4, 4);
  options.strategy = RemaskingStrategy::kLowConfidenceStatic;
  BlockState block(4, {}, kMask);
  block.Advance(options, {{1, 0, 0.1, 0}, {2, 0, 0.9, 0}, {3, 0, 0.2, 0}, {4, 0, 0.3, 0}});
  EXPECT_THAT(block.token_ids(), ElementsAre(kMask, 2, kMask, kMask));
  EXPECT_EQ(block.FinalPrefix(), 0);
  block.Advance(options, {{1, 0, 0.9, 0}, {3, 0, 0.2, 0}, {4, 0, 0.3, 0}});
  EXPECT_EQ(block.FinalPrefix(), 2);
}

// Random blocks to their end: given and revealed tokens never change, only masked positions are
// revealed, each carries the choice made for it, and the block is done after at most its steps.
TEST(BlockStateTest, EveryBlockEndsAndChangesOnlyMaskedPositions) {
  std::mt19937 random(23);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int trial = 0; trial < 5000; ++trial) {
    RemaskingOptions options;
    options.block_length = 1 + static_cast<int>(random() % 16);
    options.denoising_steps =
        1 + static_cast<int>(random() % static_cast<unsigned>(options.block_length));
    options.strategy = static_cast<RemaskingStrategy>(random() % 4);
    std::vector<TokenId> given(random() % static_cast<unsigned>(options.block_length));
    for (TokenId& id : given) id = static_cast<TokenId>(random() % 100);
    BlockState block(options.block_length, given, kMask);
    int steps = 0;
    while (!block.IsDone()) {
      const std::vector<int> masked(block.MaskedPositions().begin(), block.MaskedPositions().end());
      const std::vector<TokenId> before(block.token_ids().begin(), block.token_ids().end());
      std::vector<Choice> choices;
      for (size_t i = 0; i < masked.size(); ++i) {
        choices.push_back(
            {static_cast<TokenId>(random() % 100), -1, uniform(random), uniform(random)});
      }
      const std::vector<int> reveals = block.Advance(options, choices);
      ++steps;
      for (int p = 0; p < block.block_length(); ++p) {
        const auto at = static_cast<size_t>(p);
        const auto found = std::find(masked.begin(), masked.end(), p);
        if (std::find(reveals.begin(), reveals.end(), p) == reveals.end()) {
          EXPECT_EQ(block.token_ids()[at], before[at]);
          EXPECT_EQ(block.IsMasked(p), found != masked.end());
        } else {
          ASSERT_NE(found, masked.end());
          EXPECT_EQ(block.token_ids()[at], choices[static_cast<size_t>(found - masked.begin())].id);
          EXPECT_EQ(block.token(p).step, steps - 1);
          EXPECT_FALSE(block.IsMasked(p));
        }
      }
    }
    EXPECT_LE(steps, options.denoising_steps);
    EXPECT_EQ(block.step(), steps);
    EXPECT_EQ(block.FinalPrefix(), options.block_length);
    for (size_t i = 0; i < given.size(); ++i) EXPECT_EQ(block.token_ids()[i], given[i]);
  }
}

}  // namespace
}  // namespace sdar
