// SPDX-License-Identifier: Apache-2.0
#include "runtime/guided/candidate_row.h"

#include "gtest/gtest.h"

#include "runtime/diffusion/sampler.h"
#include "tests/diffusion/reference_sampler.h"

namespace sdar {
namespace {

constexpr size_t kVocab = 500;

SamplingOptions Drawn() {
  SamplingOptions options;
  options.temperature = 1;
  return options;
}

double SumOf(const CandidateRow& row) {
  double sum = 0;
  for (const RowCandidate& c : row.candidates()) sum += c.probability;
  return sum;
}

TEST(CandidateRowTest, HasTheLikeliestIdsAndTheRestAsItsTail) {
  std::mt19937 random(1);
  const SampledRow row = RandomRow(random, kVocab, 1);
  const LogitSummary summary = Summarize(row, {});
  const CandidateRow candidates(summary, SamplingOptions(), {}, false);
  ASSERT_EQ(candidates.candidates().size(), size_t{kMaxCandidates});
  EXPECT_EQ(candidates.candidates()[0].id, summary.candidates[0].id);
  EXPECT_NEAR(candidates.tail(), 1 - SumOf(candidates), 1e-12);
  EXPECT_NEAR(std::exp(candidates.log_mass()), SumOf(candidates), 1e-12);
}

TEST(CandidateRowTest, HasTheDrawnIdWhereverItStands) {
  std::mt19937 random(2);
  int beyond = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const SampledRow row = RandomRow(random, kVocab, 0.5);
    const DrawKey key{seed, 1, 2};
    const LogitSummary summary = Summarize(row, key);
    const CandidateRow candidates(summary, Drawn(), key, false);
    ASSERT_TRUE(candidates.LogWeightOf(summary.drawn_id));
    beyond += candidates.candidates().size() > size_t{kMaxCandidates} ? 1 : 0;
  }
  EXPECT_GT(beyond, 10);
}

TEST(CandidateRowTest, UnderAMaskWhatIsAllowedIsAllThereIs) {
  std::mt19937 random(3);
  SampledRow row = RandomRow(random, kVocab, 1);
  for (size_t id = 20; id < kVocab; ++id) row.allowed[id] = kForbidden;
  const CandidateRow few(Summarize(row, {}), SamplingOptions(), {}, true);
  EXPECT_EQ(few.candidates().size(), 20u);
  EXPECT_EQ(few.tail(), 0);
}

TEST(CandidateRowTest, AnIdThatIsAddedCountsWhatTheOthersOfTheTailDoOnAverage) {
  std::mt19937 random(4);
  const SampledRow row = RandomRow(random, kVocab, 1);
  const LogitSummary summary = Summarize(row, {});
  CandidateRow candidates(summary, SamplingOptions(), {}, false);
  const auto least =
      static_cast<TokenId>(std::min_element(row.z.begin(), row.z.end()) - row.z.begin());
  candidates.Add(least, SamplingOptions(), {});
  candidates.Add(summary.candidates[0].id, SamplingOptions(), {});
  ASSERT_EQ(candidates.candidates().size(), size_t{kMaxCandidates} + 1);
  const RowCandidate& added = candidates.candidates().back();
  EXPECT_EQ(added.id, least);
  EXPECT_FALSE(added.known);
  EXPECT_NEAR(added.probability, candidates.tail() / (kVocab - kMaxCandidates), 1e-12);
}

TEST(CandidateRowTest, AnIdThatTheCutsTookAwayWeighsLessThanAnything) {
  std::mt19937 random(5);
  const SampledRow row = RandomRow(random, kVocab, 1);
  const LogitSummary summary = Summarize(row, {});
  SamplingOptions options = Drawn();
  options.top_k = 3;
  CandidateRow candidates(summary, options, {}, false);
  ASSERT_EQ(candidates.candidates().size(), 3u);
  candidates.Add(summary.candidates[3].id, options, {});
  EXPECT_EQ(candidates.candidates()[3].log_weight, kCutLogWeight);
}

TEST(CandidateRowTest, OfAWholeRowOnlyWhatMayBeChosenCounts) {
  std::mt19937 random(6);
  const SampledRow row = RandomRow(random, kVocab, 1);
  std::vector<uint64_t> may((kVocab + 63) / 64, 0);
  double mass = 0;
  const LogitSummary summary = Summarize(row, {});
  for (size_t id = 0; id < kVocab; id += 3) {
    may[id / 64] |= uint64_t{1} << id % 64;
    mass += std::exp(double{row.z[id]} - LogSumExp(summary));
  }
  CandidateRow candidates(row.allowed, may, summary, SamplingOptions(), {});
  ASSERT_EQ(candidates.candidates().size(), size_t{kMaxCandidates});
  for (const RowCandidate& c : candidates.candidates()) EXPECT_EQ(c.id % 3, 0);
  EXPECT_NEAR(candidates.tail() + SumOf(candidates), mass, 1e-9);
  candidates.Add(1, SamplingOptions(), {});
  const auto weight = candidates.LogWeightOf(1);
  ASSERT_TRUE(weight);
  EXPECT_NEAR(*weight, double{row.z[1]} - LogSumExp(summary), 1e-12);
}

}  // namespace
}  // namespace sdar
