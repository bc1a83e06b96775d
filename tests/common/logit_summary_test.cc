// SPDX-License-Identifier: Apache-2.0
#include "common/logit_summary.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace sdar {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// A row of z, which of its ids are allowed, and the Gumbel noise of each.
struct Row {
  std::vector<float> z;
  std::vector<bool> allowed;
  std::vector<float> noise;
};

// Summarises ids [begin, end) in double, one obvious loop per member.
LogitSummary SummarizeByDefinition(const Row& row, size_t begin, size_t end, TokenId asked) {
  LogitSummary s;
  std::vector<Candidate> allowed;
  for (size_t i = begin; i < end; ++i) s.max = std::max(s.max, row.z[i]);
  for (size_t i = begin; i < end; ++i) {
    const double d = double{row.z[i]} - double{s.max};
    s.sum_exp += std::exp(d);
    s.sum_weighted += d * std::exp(d);
    const auto id = static_cast<TokenId>(i);
    if (id == asked) s.asked_z = row.z[i];
    if (!row.allowed[i]) continue;
    allowed.push_back({id, row.z[i]});
    const float value = row.z[i] + row.noise[i];
    if (s.drawn_id == kNoToken || value > s.drawn_value) {
      s.drawn_id = id;
      s.drawn_z = row.z[i];
      s.drawn_value = value;
    }
  }
  std::sort(allowed.begin(), allowed.end(), Precedes);
  s.num_allowed = static_cast<int32_t>(allowed.size());
  s.num_candidates = std::min(s.num_allowed, kMaxCandidates);
  std::copy_n(allowed.begin(), s.num_candidates, s.candidates.begin());
  for (const Candidate& c : allowed) {
    s.allowed_sum_exp += std::exp(double{c.z} - double{allowed[0].z});
  }
  return s;
}

Row RandomRow(std::mt19937& random, size_t size, bool coarse) {
  std::normal_distribution<float> normal(0, 4);
  Row row;
  for (size_t i = 0; i < size; ++i) {
    const float z = normal(random);
    row.z.push_back(coarse ? std::round(z) : z);  // coarse: many ties
    row.noise.push_back(coarse ? 0.0f : normal(random));
    row.allowed.push_back(random() % 8 != 0);
  }
  return row;
}

void ExpectSame(const LogitSummary& got, const LogitSummary& want) {
  EXPECT_EQ(got.max, want.max);
  EXPECT_EQ(got.asked_z, want.asked_z);
  EXPECT_NEAR(got.sum_exp, want.sum_exp, 1e-12 * want.sum_exp);
  EXPECT_NEAR(got.sum_weighted, want.sum_weighted, 1e-11 * (want.sum_exp - want.sum_weighted));
  EXPECT_NEAR(got.allowed_sum_exp, want.allowed_sum_exp, 1e-12 * want.allowed_sum_exp);
  EXPECT_EQ(got.num_allowed, want.num_allowed);
  ASSERT_EQ(got.num_candidates, want.num_candidates);
  EXPECT_EQ(got.drawn_id, want.drawn_id);
  EXPECT_EQ(got.drawn_z, want.drawn_z);
  EXPECT_EQ(got.drawn_value, want.drawn_value);
  for (size_t i = 0; i < static_cast<size_t>(got.num_candidates); ++i) {
    EXPECT_EQ(got.candidates[i].id, want.candidates[i].id) << i;
    EXPECT_EQ(got.candidates[i].z, want.candidates[i].z) << i;
  }
}

// Cuts [0, size) at random places; some shards are empty.
std::vector<size_t> RandomCuts(std::mt19937& random, size_t size, size_t shards) {
  std::vector<size_t> cuts = {0, size};
  while (cuts.size() < shards + 1) cuts.push_back(random() % (size + 1));
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

void CheckSplits(size_t size, bool coarse, uint32_t seed) {
  std::mt19937 random(seed);
  for (int trial = 0; trial < 100; ++trial) {
    const Row row = RandomRow(random, size, coarse);
    const auto asked = static_cast<TokenId>(random() % size);
    const std::vector<size_t> cuts = RandomCuts(random, size, 1 + random() % 8);
    std::vector<LogitSummary> shards;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      shards.push_back(SummarizeByDefinition(row, cuts[i], cuts[i + 1], asked));
    }
    SCOPED_TRACE(testing::Message() << "seed " << seed << " trial " << trial);
    ExpectSame(Merge(shards), SummarizeByDefinition(row, 0, size, asked));
  }
}

TEST(LogitSummaryTest, MergeEqualsTheUnsplitRowBelowTheCandidates) { CheckSplits(20, false, 1); }
TEST(LogitSummaryTest, MergeEqualsTheUnsplitRowAtTheNumberOfCandidates) {
  CheckSplits(64, false, 2);
}
TEST(LogitSummaryTest, MergeEqualsTheUnsplitRowBeyondTheCandidates) { CheckSplits(1000, false, 3); }
TEST(LogitSummaryTest, MergeBreaksTiesToTheLowestId) { CheckSplits(300, true, 4); }

TEST(LogitSummaryTest, MergeOfEmptyShardsIsEmpty) {
  const std::vector<LogitSummary> shards(3);
  const LogitSummary merged = Merge(shards);
  EXPECT_EQ(merged.num_candidates, 0);
  EXPECT_EQ(merged.num_allowed, 0);
  EXPECT_EQ(merged.sum_exp, 0);
  EXPECT_EQ(merged.allowed_sum_exp, 0);
  EXPECT_EQ(merged.drawn_id, kNoToken);
}

TEST(LogitSummaryTest, AShardWhoseIdsAreAllForbiddenAddsOnlyToTheSumsOverAll) {
  Row row{{3, 5, 1, 0}, {false, false, true, true}, {0, 0, 0, 0}};
  const std::vector<LogitSummary> shards = {SummarizeByDefinition(row, 0, 2, 0),
                                            SummarizeByDefinition(row, 2, 4, 0)};
  ExpectSame(Merge(shards), SummarizeByDefinition(row, 0, 4, 0));
}

TEST(LogitSummaryTest, ShardsFarApartNeitherOverflowNorVanish) {
  Row row{{-80, 300, 299, -1000}, {true, true, true, true}, {0, 0, 0, 0}};
  const std::vector<LogitSummary> shards = {
      SummarizeByDefinition(row, 0, 1, 2), SummarizeByDefinition(row, 1, 2, 2),
      SummarizeByDefinition(row, 2, 3, 2), SummarizeByDefinition(row, 3, 4, 2)};
  ExpectSame(Merge(shards), SummarizeByDefinition(row, 0, 4, 2));
}

TEST(LogitSummaryTest, LogSumExpAndEntropyFollowTheirDefinitions) {
  std::mt19937 random(5);
  const Row row = RandomRow(random, 500, false);
  double total = 0, entropy = 0;
  for (float z : row.z) total += std::exp(double{z});
  for (float z : row.z) entropy -= std::exp(double{z}) / total * (double{z} - std::log(total));
  const LogitSummary s = SummarizeByDefinition(row, 0, row.z.size(), kNoToken);
  EXPECT_NEAR(LogSumExp(s), std::log(total), 1e-12);
  EXPECT_NEAR(Entropy(s), entropy, 1e-12);
}

TEST(LogitSummaryTest, TheAskedZIsMinusInfinityInShardsWithoutTheId) {
  Row row{{1, 2}, {true, true}, {0, 0}};
  EXPECT_EQ(SummarizeByDefinition(row, 0, 1, 1).asked_z, kMinusInfinity);
  const std::vector<LogitSummary> shards = {SummarizeByDefinition(row, 0, 1, 1),
                                            SummarizeByDefinition(row, 1, 2, 1)};
  EXPECT_EQ(Merge(shards).asked_z, 2.0f);
}

}  // namespace
}  // namespace sdar
