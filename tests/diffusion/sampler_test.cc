// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/sampler.h"

#include "gtest/gtest.h"

#include "tests/diffusion/reference_sampler.h"

namespace sdar {
namespace {

SamplingOptions Sampled(int64_t top_k, double top_p, double min_p) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = top_k;
  options.top_p = top_p;
  options.min_p = min_p;
  return options;
}

Choice ChooseAny(const SampledRow& row, const SamplingOptions& options, const DrawKey& key) {
  const LogitSummary summary = Summarize(row, key);
  return NeedsAllLogits(summary, options) ? ChooseFromLogits(row.allowed, summary, options, key)
                                          : Choose(summary, options, key);
}

TEST(SamplerTest, GreedyTakesTheLargestLogit) {
  const SampledRow row{{1, 5, 3}, {1, 5, 3}};
  EXPECT_EQ(Choose(Summarize(row, {}), SamplingOptions(), {}).id, 1);
}

TEST(SamplerTest, GreedyBreaksTiesToTheLowestId) {
  const SampledRow row{{1, 5, 5, 5}, {1, 5, 5, 5}};
  EXPECT_EQ(Choose(Summarize(row, {}), SamplingOptions(), {}).id, 1);
}

TEST(SamplerTest, GreedyIgnoresTheCuts) {
  SamplingOptions options = Sampled(500, 0.01, 0.9);
  options.temperature = 0;
  std::mt19937 random(1);
  const SampledRow row = RandomRow(random, 1000, 0.1);
  EXPECT_FALSE(NeedsAllLogits(Summarize(row, {}), options));
  EXPECT_EQ(Choose(Summarize(row, {}), options, {}).id,
            ReferenceChoice(row, SamplingOptions(), {}));
}

TEST(SamplerTest, GreedyPassesOverForbiddenIdsWithoutRenormalising) {
  const SampledRow row{{9, 5, 3}, {kForbidden, 5, 3}};
  const Choice choice = Choose(Summarize(row, {}), SamplingOptions(), {});
  EXPECT_EQ(choice.id, 1);
  const double p = std::exp(5.0) / (std::exp(9.0) + std::exp(5.0) + std::exp(3.0));
  EXPECT_NEAR(choice.logprob, std::log(p), 1e-12);
  EXPECT_EQ(choice.confidence, RoundForComparison(p));
}

TEST(SamplerTest, ConfidenceIsTheProbabilityBeforeAnyCut) {
  const SampledRow row{{0, 0, 0, 0}, {0, 0, 0, 0}};
  const Choice choice = Choose(Summarize(row, {}), Sampled(1, 1, 0), {});
  EXPECT_EQ(choice.id, 0);
  EXPECT_EQ(choice.confidence, 0.25);
  EXPECT_NEAR(choice.logprob, std::log(0.25), 1e-12);
  EXPECT_EQ(choice.entropy, RoundForComparison(std::log(4.0)));
}

TEST(SamplerTest, ASaturatedConfidenceIsOneAndItsEntropyZero) {
  const SampledRow row{{100, 0, 0}, {100, 0, 0}};
  const Choice choice = Choose(Summarize(row, {}), SamplingOptions(), {});
  EXPECT_EQ(choice.confidence, 1);
  EXPECT_EQ(choice.entropy, 0);
  EXPECT_LE(choice.logprob, 0);
}

TEST(SamplerTest, RoundsToMultiplesOfTwoToTheMinusTwenty) {
  EXPECT_EQ(RoundForComparison(1 - 0x1p-22), 1);
  EXPECT_EQ(RoundForComparison(0x1p-22), 0);
  EXPECT_EQ(RoundForComparison(0x1.8p-20 + 0x1p-30), 0x1p-19);
  EXPECT_EQ(RoundForComparison(0.5), 0.5);
}

TEST(SamplerTest, TopPKeepsTheTokenThatCrossesIt) {
  // Probabilities 1/2, 1/4, 1/8, 1/8: the preceding masses are 0, 1/2, 3/4, 7/8.
  const auto ln2 = static_cast<float>(std::log(2.0));
  const SampledRow row{{0, -ln2, -2 * ln2, -2 * ln2}, {0, -ln2, -2 * ln2, -2 * ln2}};
  const auto reachable = [&row](double top_p) {
    std::vector<bool> seen(4);
    for (uint64_t seed = 0; seed < 300; ++seed) {
      seen[static_cast<size_t>(ChooseAny(row, Sampled(0, top_p, 0), {seed, 0, 0}).id)] = true;
    }
    return seen;
  };
  EXPECT_EQ(reachable(0.4), (std::vector<bool>{true, false, false, false}));
  EXPECT_EQ(reachable(0.6), (std::vector<bool>{true, true, false, false}));
  EXPECT_EQ(reachable(0.8), (std::vector<bool>{true, true, true, false}));
  EXPECT_EQ(reachable(0.9), (std::vector<bool>{true, true, true, true}));
}

TEST(SamplerTest, TopPOfZeroLeavesTheMostProbable) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 100; ++trial) {
    const SampledRow row = RandomRow(random, 100, 1);
    const DrawKey key{static_cast<uint64_t>(trial), 0, 0};
    EXPECT_EQ(ChooseAny(row, Sampled(0, 0, 0), key).id,
              ReferenceChoice(row, SamplingOptions(), key));
  }
}

// Random rows, cuts and keys: the choice is that of the definition, and where the summary alone is
// said to suffice it equals the choice by the whole row.
void CheckAgainstReference(size_t vocab, double spread, bool forbids, uint32_t seed) {
  std::mt19937 random(seed);
  const int64_t top_ks[] = {0, 0, 1, 5, 63, 64, 65, 100, 500, 100000};
  const double top_ps[] = {1, 1, 0.999999, 0.99, 0.9, 0.5, 0.1, 0};
  const double min_ps[] = {0, 0, 1e-9, 1e-4, 0.05, 0.5, 1};
  int whole_rows = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    const SampledRow row = RandomRow(random, vocab, spread, forbids);
    const SamplingOptions options =
        Sampled(top_ks[random() % 10], top_ps[random() % 8], min_ps[random() % 7]);
    const DrawKey key{random(), static_cast<uint32_t>(random() % 100), 0};
    SCOPED_TRACE(testing::Message()
                 << "seed " << seed << " trial " << trial << " top_k " << options.top_k << " top_p "
                 << options.top_p << " min_p " << options.min_p);
    const LogitSummary summary = Summarize(row, key);
    const Choice whole = ChooseFromLogits(row.allowed, summary, options, key);
    EXPECT_EQ(whole.id, ReferenceChoice(row, options, key));
    if (NeedsAllLogits(summary, options)) {
      ++whole_rows;
      // Where the mass that top-p cuts is known, whole rows are asked for only to look beyond the
      // candidates.
      const bool mass_is_known = options.top_k == 0 || options.top_k >= summary.num_allowed;
      EXPECT_TRUE(!mass_is_known || Truncate(row, options).ids.size() >= 64);
      continue;
    }
    const Choice choice = Choose(summary, options, key);
    EXPECT_EQ(choice.id, whole.id);
    EXPECT_EQ(choice.logprob, whole.logprob);
    EXPECT_EQ(choice.confidence, whole.confidence);
  }
  ::testing::Test::RecordProperty("whole_rows", whole_rows);
}

TEST(SamplerTest, ChoicesFollowTheDefinitionInASmallVocabulary) {
  CheckAgainstReference(40, 2, true, 11);
}
TEST(SamplerTest, ChoicesFollowTheDefinitionInAPeakedVocabulary) {
  CheckAgainstReference(600, 6, true, 12);
}
TEST(SamplerTest, ChoicesFollowTheDefinitionInAFlatVocabulary) {
  CheckAgainstReference(600, 0.5, false, 13);
}
TEST(SamplerTest, ChoicesFollowTheDefinitionJustAboveTheCandidates) {
  CheckAgainstReference(70, 1, true, 14);
}

TEST(SamplerTest, CutsWithinTheCandidatesNeverAskForTheRow) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    const LogitSummary summary = Summarize(RandomRow(random, 1000, 0.1), {});
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(64, 0.99, 0)));
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(1, 1, 0.5)));
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(0, 1, 0)));
  }
}

TEST(SamplerTest, ARowThatTheCandidatesHoldWholeIsNeverAskedFor) {
  std::mt19937 random(4);
  const LogitSummary summary = Summarize(RandomRow(random, 64, 0.1), {});
  for (int64_t top_k : {0, 64, 65, 1000}) {
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(top_k, 0.9999, 1e-9)));
  }
}

TEST(SamplerTest, AFlatRowCutByTopPIsAskedFor) {
  std::mt19937 random(5);
  const LogitSummary summary = Summarize(RandomRow(random, 1000, 0.1), {});
  EXPECT_TRUE(NeedsAllLogits(summary, Sampled(0, 0.9, 0)));
  EXPECT_TRUE(NeedsAllLogits(summary, Sampled(100, 1, 0)));
  EXPECT_TRUE(NeedsAllLogits(summary, Sampled(100, 0.9, 0)));
  EXPECT_TRUE(NeedsAllLogits(summary, Sampled(0, 1, 1e-6)));
}

TEST(SamplerTest, ATopKBeyondTheCandidatesIsNoReasonToAskWhereTheMassIsClear) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 100; ++trial) {
    const LogitSummary summary = Summarize(RandomRow(random, 1000, 6), {});
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(100, 0.5, 0)));
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(100000, 0.5, 0)));
    EXPECT_FALSE(NeedsAllLogits(summary, Sampled(100, 0.5, 0.5)));
  }
}

// Where a device adds up z in float32 the total is a little off; nothing may be cut by that.
TEST(SamplerTest, ATopPOfOneCutsNothingWhateverTheRoundingOfTheTotal) {
  SampledRow row{{0}, {0}};
  for (int i = 1; i < 64; ++i) {
    row.z.push_back(-30);
    row.allowed.push_back(-30);
  }
  LogitSummary summary = Summarize(row, {});
  summary.allowed_sum_exp *= 1 - 1e-7;
  const SamplingOptions options = Sampled(0, 1, 1e-20);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    // A key whose noise lifts one of the rare tokens is improbable; the kept set is what counts.
    const DrawKey key{seed, 0, 0};
    EXPECT_EQ(Choose(summary, options, key).id, ReferenceChoice(row, options, key));
  }
}

TEST(SamplerTest, RowsThatHoldNanAreStillSafeToChooseFrom) {
  std::mt19937 random(6);
  SampledRow row = RandomRow(random, 500, 0.1);
  const LogitSummary summary = Summarize(row, {});
  for (size_t i = 0; i < 500; i += 3) row.allowed[i] = std::numeric_limits<float>::quiet_NaN();
  const Choice choice = ChooseFromLogits(row.allowed, summary, Sampled(0, 0.99, 0), {});
  EXPECT_GE(choice.id, 0);
  EXPECT_NE(choice.id % 3, 0);
}

}  // namespace
}  // namespace sdar
