// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/drafts.h"

#include <cmath>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;

constexpr TokenId kHidden = 99;

// A summary in which `first` has probability `p` and `second` most of the rest.
LogitSummary Likely(TokenId first, double p, TokenId second) {
  LogitSummary summary;
  summary.max = 0;
  summary.sum_exp = summary.allowed_sum_exp = 1 / p;
  // Entropy falls as p rises: ln(sum) - weighted / sum.
  summary.sum_weighted = -(1 - p) / p;
  summary.num_allowed = 10;
  summary.num_candidates = 2;
  summary.candidates[0] = {first, 0};
  summary.candidates[1] = {second, static_cast<float>(std::log((1 - p) / p / 2))};
  return summary;
}

// A block of four, of which nothing is revealed; position i most likely gets token 10 + i, else
// 20 + i. Position 2 is surest, then 0, 3 and 1.
class DraftsTest : public ::testing::Test {
 protected:
  DraftsTest() {
    remasking_.strategy = RemaskingStrategy::kLowConfidenceStatic;
    const double p[] = {0.7, 0.4, 0.8, 0.5};
    std::vector<LogitSummary> summaries;
    for (int i = 0; i < 4; ++i) summaries.push_back(Likely(10 + i, p[i], 20 + i));
    forecast_.Set(4, {0, 1, 2, 3}, summaries);
    basis_.remasking = &remasking_;
    basis_.sampling = &sampling_;
    basis_.active = &forecast_;
    basis_.next = &next_;
    basis_.mask_token = kHidden;
  }

  std::optional<Draft> After(const BlockState& state, DraftKind kind) {
    for (Draft& draft : DraftPredictor(basis_).After(state)) {
      if (draft.kind == kind) return std::move(draft);
    }
    return std::nullopt;
  }

  RemaskingOptions remasking_;
  SamplingOptions sampling_;
  Forecast forecast_, next_;
  DraftBasis basis_;
  BlockState block_{4, {}, kHidden};
};

TEST_F(DraftsTest, TheRulesDraftRevealsWhatTheRuleWouldIfNothingChanged) {
  const std::optional<Draft> draft = After(block_, DraftKind::kRule);
  ASSERT_TRUE(draft);
  EXPECT_THAT(draft->state.token_ids(), ElementsAre(kHidden, kHidden, 12, kHidden));
  EXPECT_EQ(draft->state.step(), 1);
  EXPECT_EQ(draft->depth, 1);
  EXPECT_NEAR(draft->certainty, 0.8, 1e-5);
}

TEST_F(DraftsTest, OthersTakeTheSecondTokenOrTheNextPosition) {
  EXPECT_THAT(After(block_, DraftKind::kSecondToken)->state.token_ids(),
              ElementsAre(kHidden, kHidden, 22, kHidden));
  EXPECT_THAT(After(block_, DraftKind::kOtherPosition)->state.token_ids(),
              ElementsAre(10, kHidden, kHidden, kHidden));
  EXPECT_FALSE(After(block_, DraftKind::kOneMore)) << "the number is fixed";
}

TEST_F(DraftsTest, WhereTheNumberVariesMoreMayBeRevealed) {
  for (RemaskingStrategy strategy :
       {RemaskingStrategy::kLowConfidenceDynamic, RemaskingStrategy::kEntropyBounded}) {
    remasking_.strategy = strategy;
    remasking_.entropy_bound = 0;
    EXPECT_THAT(After(block_, DraftKind::kOneMore)->state.token_ids(),
                ElementsAre(10, kHidden, 12, kHidden));
    EXPECT_THAT(After(block_, DraftKind::kAll)->finished, ElementsAre(10, 11, 12, 13));
  }
}

TEST_F(DraftsTest, SequentialGoesFromLeftToRight) {
  remasking_.strategy = RemaskingStrategy::kSequential;
  remasking_.denoising_steps = 2;
  EXPECT_THAT(After(block_, DraftKind::kRule)->state.token_ids(),
              ElementsAre(10, 11, kHidden, kHidden));
  EXPECT_THAT(After(block_, DraftKind::kSecondToken)->state.token_ids(),
              ElementsAre(10, 21, kHidden, kHidden));
  EXPECT_FALSE(After(block_, DraftKind::kOtherPosition));
}

TEST_F(DraftsTest, AFinishedBlockIsFollowedByTheNextOnesMasks) {
  remasking_.denoising_steps = 1;
  const std::optional<Draft> draft = After(block_, DraftKind::kRule);
  ASSERT_TRUE(draft && draft->in_next_block());
  EXPECT_THAT(draft->finished, ElementsAre(10, 11, 12, 13));
  EXPECT_THAT(draft->state.token_ids(), ElementsAre(kHidden, kHidden, kHidden, kHidden));
  EXPECT_EQ(draft->state.step(), 0);
  EXPECT_TRUE(DraftPredictor(basis_).After(*draft).empty()) << "nothing is known of that block";
}

TEST_F(DraftsTest, TheNextBlockIsGuessedByWhatWasSeenBehindAnotherEnd) {
  remasking_.denoising_steps = 1;
  next_ = forecast_;
  next_.foreign = true;
  const std::optional<Draft> end = After(block_, DraftKind::kRule);
  ASSERT_TRUE(end);
  remasking_.denoising_steps = 2;
  const std::vector<Draft> drafts = DraftPredictor(basis_).After(*end);
  ASSERT_FALSE(drafts.empty());
  EXPECT_THAT(drafts[0].state.token_ids(), ElementsAre(10, kHidden, 12, kHidden));
  EXPECT_THAT(drafts[0].finished, ElementsAre(10, 11, 12, 13));
  EXPECT_TRUE(drafts[0].foreign);
  EXPECT_EQ(drafts[0].depth, 2);
}

TEST_F(DraftsTest, NothingFollowsTheEndOfTheSequence) {
  remasking_.denoising_steps = 1;
  basis_.ends_here = true;
  EXPECT_FALSE(After(block_, DraftKind::kRule));
  basis_.ends_here = false;
  const std::vector<TokenId> stop = {13};
  basis_.stop_ids = stop;
  EXPECT_FALSE(After(block_, DraftKind::kRule));
  basis_.first_stop = 4;
  EXPECT_TRUE(After(block_, DraftKind::kRule)) << "position 3 may not stop yet";
}

TEST_F(DraftsTest, AStopTokenInThePromptsRemainderEndsNothing) {
  remasking_.denoising_steps = 1;
  const std::vector<TokenId> stop = {7};
  basis_.stop_ids = stop;
  EXPECT_TRUE(After(BlockState(4, {7}, kHidden), DraftKind::kRule));
}

TEST_F(DraftsTest, WithoutAForecastThereAreNone) {
  forecast_ = {};
  EXPECT_TRUE(DraftPredictor(basis_).After(block_).empty());
}

TEST_F(DraftsTest, DrawsAreThoseOfTheLaterStep) {
  sampling_.temperature = 1;
  sampling_.seed = 5;
  remasking_.strategy = RemaskingStrategy::kSequential;
  // With one candidate of two equally likely, the draw of the step decides.
  std::vector<LogitSummary> even(4, Likely(1, 1.0 / 3, 2));
  forecast_.Set(4, {0, 1, 2, 3}, even);
  for (uint32_t step = 0; step < 3; ++step) {
    const Draft draft = *After(block_, DraftKind::kRule);
    const auto position = static_cast<int>(step);
    const DrawKey key{5, step, step};
    const TokenId want = Gumbel(key, 1) >= Gumbel(key, 2) ? 1 : 2;
    EXPECT_EQ(draft.state.token(position).id, want) << step;
    block_ = draft.state;
  }
}

TEST_F(DraftsTest, SameStateComparesStepMasksAndTokens) {
  const BlockState a = After(block_, DraftKind::kRule)->state;
  const BlockState b = After(block_, DraftKind::kSecondToken)->state;
  EXPECT_TRUE(a.SameState(After(block_, DraftKind::kRule)->state));
  EXPECT_FALSE(a.SameState(b));
  EXPECT_FALSE(a.SameState(block_));
  EXPECT_FALSE(BlockState(2, {kHidden}, kHidden).SameState(BlockState(2, {}, kHidden)));
}

}  // namespace
}  // namespace sdar
