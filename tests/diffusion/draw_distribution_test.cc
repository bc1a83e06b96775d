// SPDX-License-Identifier: Apache-2.0
// Drawn tokens against the distribution they are drawn from: Pearson's chi-square over many fixed
// seeds.
#include "gtest/gtest.h"

#include "runtime/diffusion/sampler.h"
#include "tests/diffusion/reference_sampler.h"

namespace sdar {
namespace {

constexpr int kDraws = 20000;

// Draws with many keys and returns the statistic over classes that expect at least ten draws, the
// rest pooled, in standard deviations above its mean.
double ExcessOf(const SampledRow& row, const SamplingOptions& options, uint32_t step) {
  const Truncated law = Truncate(row, options);
  std::vector<int> counts(row.z.size());
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const DrawKey key{seed, static_cast<uint32_t>(seed % 7), step};
    const LogitSummary summary = Summarize(row, key);
    const Choice choice = NeedsAllLogits(summary, options)
                              ? ChooseFromLogits(row.allowed, summary, options, key)
                              : Choose(summary, options, key);
    ++counts[static_cast<size_t>(choice.id)];
  }
  double statistic = 0, pooled_want = 0, pooled_got = 0;
  int classes = -1, drawn = 0;
  const auto add = [&](double got, double want) {
    statistic += (got - want) * (got - want) / want;
    ++classes;
  };
  for (size_t i = 0; i < law.ids.size(); ++i) {
    const double want = law.probabilities[i] * kDraws;
    const int got = counts[static_cast<size_t>(law.ids[i])];
    drawn += got;
    if (want >= 10) {
      add(got, want);
    } else {
      pooled_want += want;
      pooled_got += got;
    }
  }
  EXPECT_EQ(drawn, kDraws) << "a token was drawn that the cuts had removed";
  if (pooled_want > 0) add(pooled_got, pooled_want + 1e-9);
  return (statistic - classes) / std::sqrt(2.0 * std::max(classes, 1));
}

SampledRow Row(size_t vocab, double spread) {
  std::mt19937 random(99);
  return RandomRow(random, vocab, spread, true);
}

SamplingOptions Cuts(int64_t top_k, double top_p, double min_p) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = top_k;
  options.top_p = top_p;
  options.min_p = min_p;
  return options;
}

TEST(DrawDistributionTest, WithoutCutsTheWholeDistributionIsDrawn) {
  EXPECT_LT(ExcessOf(Row(200, 1.5), Cuts(0, 1, 0), 0), 4);
}

TEST(DrawDistributionTest, CutsWithinTheCandidatesLeaveTheirDistribution) {
  EXPECT_LT(ExcessOf(Row(200, 1.5), Cuts(20, 0.95, 0.01), 1), 4);
}

TEST(DrawDistributionTest, CutsBeyondTheCandidatesLeaveTheirDistribution) {
  EXPECT_LT(ExcessOf(Row(200, 0.3), Cuts(150, 0.9, 0), 2), 4);
}

TEST(DrawDistributionTest, AFlatRowCutByTopPLeavesItsDistribution) {
  EXPECT_LT(ExcessOf(Row(200, 0.3), Cuts(0, 0.8, 0), 3), 4);
}

TEST(DrawDistributionTest, AnotherStepDrawsTheSameDistribution) {
  EXPECT_LT(ExcessOf(Row(200, 1.5), Cuts(0, 1, 0), 9), 4);
}

}  // namespace
}  // namespace sdar
