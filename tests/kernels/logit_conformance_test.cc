// SPDX-License-Identifier: Apache-2.0
// Every backend's logit summaries against loops over the whole row. Logits are multiples of 1/64
// and penalties of powers of two, so that z is exact and ids must agree to the letter.
#include <limits>

#include "tests/kernels/targets.h"

namespace sdar {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// A vocabulary row after everything that turns logits into z; `allowed` says what may be chosen.
struct ExpectedRow {
  std::vector<float> z;
  std::vector<bool> allowed;
};

void Penalize(const LogitRowSpec& spec, std::vector<float>& z) {
  for (TokenId id : spec.repeated) {
    float& v = z[static_cast<size_t>(id)];
    v = v < 0 ? v * spec.repetition_penalty : v / spec.repetition_penalty;
  }
  for (const auto& [id, count] : spec.output_counts) {
    z[static_cast<size_t>(id)] -= spec.frequency_penalty * static_cast<float>(count);
    z[static_cast<size_t>(id)] -= spec.presence_penalty;
  }
  for (const auto& [id, bias] : spec.bias) z[static_cast<size_t>(id)] += bias;
  for (float& v : z) v *= spec.inverse_temperature;
}

class LogitTest : public BackendTest {
 protected:
  std::vector<float> ExactLogits(size_t count) {
    std::vector<float> z(count);
    for (float& v : z) v = static_cast<float>(static_cast<int>(random()() % 1024) - 512) / 64;
    return z;
  }

  // Summaries of the shards [first, first + size) of one row, merged.
  LogitSummary Summarize(const std::vector<float>& logits, const LogitRowSpec& spec,
                         const std::vector<TokenId>& forbidden, const std::vector<size_t>& sizes) {
    std::vector<LogitSummary> shards;
    size_t first = 0;
    for (size_t size : sizes) {
      Matrix part(1, static_cast<int64_t>(size));
      for (size_t i = 0; i < size; ++i) part.values[i] = double{logits[first + i]};
      const DeviceMatrix on_device = Upload(part, DType::kFloat32);
      LogitSpecs specs;
      specs.first_id = static_cast<int64_t>(first);
      specs.forbidden = forbidden;
      specs.rows = absl::MakeConstSpan(&spec, 1);
      shards.emplace_back();
      backend().Run(op::SummarizeLogits{specs, on_device.view, absl::MakeSpan(&shards.back(), 1)});
      CheckZ(Download(on_device), first);
      first += size;
    }
    return Merge(shards);
  }

  void Check(size_t vocab, const LogitRowSpec& spec, const std::vector<TokenId>& forbidden,
             const std::vector<size_t>& sizes) {
    const std::vector<float> logits = ExactLogits(vocab);
    expected_ = {logits, std::vector<bool>(vocab, true)};
    Penalize(spec, expected_.z);
    for (TokenId id : forbidden) expected_.allowed[static_cast<size_t>(id)] = false;
    for (TokenId id : spec.forbidden) expected_.allowed[static_cast<size_t>(id)] = false;
    for (size_t id = 0; !spec.allowed.empty() && id < vocab; ++id) {
      if ((spec.allowed[id / 64] >> id % 64 & 1) == 0) expected_.allowed[id] = false;
    }
    const LogitSummary got = Summarize(logits, spec, forbidden, sizes);
    CheckSums(got);
    CheckCandidates(got);
    if (spec.asked != kNoToken) {
      EXPECT_EQ(got.asked_z, expected_.z[static_cast<size_t>(spec.asked)]);
    }
    CheckDraw(spec, got);
  }

 private:
  // What is left in place: z, with -inf where an id may not be chosen.
  void CheckZ(const Matrix& got, size_t first) {
    for (int64_t i = 0; i < got.cols; ++i) {
      const size_t id = first + static_cast<size_t>(i);
      EXPECT_EQ(got(0, i), double{expected_.allowed[id] ? expected_.z[id] : kMinusInfinity}) << id;
    }
  }

  void CheckSums(const LogitSummary& got) {
    const double max = double{*std::max_element(expected_.z.begin(), expected_.z.end())};
    double sum = 0, weighted = 0;
    for (float z : expected_.z) {
      sum += std::exp(double{z} - max);
      weighted += (double{z} - max) * std::exp(double{z} - max);
    }
    EXPECT_EQ(double{got.max}, max);
    EXPECT_NEAR(got.sum_exp, sum, 1e-6 * sum);
    EXPECT_NEAR(got.sum_weighted, weighted, 1e-6 * (sum - weighted));
  }

  void CheckCandidates(const LogitSummary& got) {
    std::vector<Candidate> all;
    for (size_t i = 0; i < expected_.z.size(); ++i) {
      if (expected_.allowed[i]) all.push_back({static_cast<TokenId>(i), expected_.z[i]});
    }
    std::sort(all.begin(), all.end(), Precedes);
    double sum = 0;
    for (const Candidate& c : all) sum += std::exp(double{c.z} - double{all[0].z});
    EXPECT_EQ(got.num_allowed, static_cast<int32_t>(all.size()));
    EXPECT_NEAR(got.allowed_sum_exp, sum, 1e-6 * sum);
    ASSERT_EQ(got.num_candidates, std::min<int32_t>(got.num_allowed, kMaxCandidates));
    for (size_t i = 0; i < static_cast<size_t>(got.num_candidates); ++i) {
      EXPECT_EQ(got.candidates[i].id, all[i].id) << i;
      EXPECT_EQ(got.candidates[i].z, all[i].z) << i;
    }
  }

  void CheckDraw(const LogitRowSpec& spec, const LogitSummary& got) {
    TokenId best = kNoToken;
    float best_value = 0;
    for (size_t i = 0; spec.draws && i < expected_.z.size(); ++i) {
      if (!expected_.allowed[i]) continue;
      const float value = expected_.z[i] + Gumbel(spec.draw_key, static_cast<TokenId>(i));
      if (best != kNoToken && value <= best_value) continue;
      best = static_cast<TokenId>(i);
      best_value = value;
    }
    EXPECT_EQ(got.drawn_id, best);
    if (best == kNoToken) return;
    EXPECT_EQ(got.drawn_z, expected_.z[static_cast<size_t>(best)]);
    EXPECT_EQ(got.drawn_value, best_value);
  }

  ExpectedRow expected_;
};
INSTANTIATE_TEST_SUITE_P(AllTargets, LogitTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(LogitTest, AVocabularyOfEverySize) {
  for (size_t vocab : {1u, 2u, 15u, 63u, 64u, 65u, 130u, 1000u, 1025u, 5003u}) {
    SCOPED_TRACE(vocab);
    Check(vocab, {}, {}, {vocab});
  }
}

TEST_P(LogitTest, ShardsOfDifferentSizesMergeToTheWholeRow) {
  LogitRowSpec spec;
  spec.draws = true;
  spec.draw_key = {5, 6, 7};
  spec.asked = 1001;
  Check(1200, spec, {0, 700, 1199}, {1, 700, 63, 436});
}

TEST_P(LogitTest, RepetitionPenaltyShrinksPositiveAndGrowsNegativeLogits) {
  const std::vector<TokenId> repeated = {0, 3, 4, 5, 6, 7, 99};
  LogitRowSpec spec;
  spec.repetition_penalty = 2;
  spec.repeated = repeated;
  Check(100, spec, {}, {50, 50});
}

TEST_P(LogitTest, FrequencyAndPresencePenaltiesMeetTheOutput) {
  const std::vector<std::pair<TokenId, int32_t>> counts = {{1, 1}, {2, 5}, {77, 3}};
  LogitRowSpec spec;
  spec.frequency_penalty = 0.5f;
  spec.presence_penalty = -0.25f;
  spec.output_counts = counts;
  Check(100, spec, {}, {40, 60});
}

TEST_P(LogitTest, PenaltiesComeBeforeBiasAndBiasBeforeTemperature) {
  const std::vector<TokenId> repeated = {1, 2, 3, 4, 5};
  const std::vector<std::pair<TokenId, int32_t>> counts = {{2, 2}, {3, 1}};
  const std::vector<std::pair<TokenId, float>> bias = {{2, 8.0f}, {50, -4.0f}};
  LogitRowSpec spec;
  spec.repetition_penalty = 4;
  spec.repeated = repeated;
  spec.frequency_penalty = 1;
  spec.presence_penalty = 2;
  spec.output_counts = counts;
  spec.bias = bias;
  spec.inverse_temperature = 0.5f;
  Check(100, spec, {}, {100});
}

TEST_P(LogitTest, TemperatureScalesEveryLogit) {
  for (float inverse : {0.125f, 0.5f, 2.0f, 8.0f}) {
    LogitRowSpec spec;
    spec.inverse_temperature = inverse;
    Check(300, spec, {}, {300});
  }
}

TEST_P(LogitTest, ForbiddenIdsCountForProbabilitiesOnly) {
  const std::vector<TokenId> of_the_row = {9, 1, 299};
  LogitRowSpec spec;
  spec.forbidden = of_the_row;
  spec.draws = true;
  Check(300, spec, {0, 9, 150}, {150, 150});
}

TEST_P(LogitTest, AShardMayBeForbiddenWhole) {
  LogitRowSpec spec;
  spec.draws = true;
  Check(10, spec, {0, 1, 2}, {3, 7});
}

TEST_P(LogitTest, OnlyAllowedIdsAreChosenWhereverTheShardsBegin) {
  std::vector<uint64_t> allowed((300 + 63) / 64);
  for (uint64_t& word : allowed) word = random()() & random()();
  allowed[1] = 0;
  allowed[2] = ~uint64_t{0};
  const std::vector<TokenId> of_the_row = {150};
  LogitRowSpec spec;
  spec.allowed = allowed;
  spec.forbidden = of_the_row;
  spec.draws = true;
  for (const std::vector<size_t>& sizes :
       {std::vector<size_t>{300}, {64, 236}, {1, 99, 200}, {70, 50, 180}, {131, 169}}) {
    Check(300, spec, {0, 9, 180}, sizes);
  }
}

TEST_P(LogitTest, NothingMayBeAllowed) {
  const std::vector<uint64_t> allowed(2);
  LogitRowSpec spec;
  spec.allowed = allowed;
  Check(100, spec, {}, {40, 60});
}

TEST_P(LogitTest, AForbiddenIdMayBeAskedFor) {
  LogitRowSpec spec;
  spec.asked = 7;
  Check(70, spec, {7}, {70});
}

TEST_P(LogitTest, DrawsAreTheLargestPerturbedLogitForEveryKey) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    LogitRowSpec spec;
    spec.draws = true;
    spec.inverse_temperature = 0.25f;
    spec.draw_key = {seed, 3, 1};
    Check(2000, spec, {}, {777, 1223});
  }
}

TEST_P(LogitTest, SeveralRowsKeepTheirOwnSpecs) {
  const Matrix logits = RandomMatrix(random(), 5, 200);
  std::vector<LogitRowSpec> rows(5);
  for (size_t i = 0; i < 5; ++i) {
    rows[i].draws = true;
    rows[i].draw_key = {i, 0, 0};
    rows[i].asked = static_cast<TokenId>(10 * i);
  }
  LogitSpecs specs{0, {}, rows};
  const DeviceMatrix together = Upload(logits, DType::kFloat32, 5);
  std::vector<LogitSummary> got(5);
  backend().Run(op::SummarizeLogits{specs, together.view, absl::MakeSpan(got)});
  for (int64_t r = 0; r < 5; ++r) {
    Matrix alone(1, 200);
    for (int64_t c = 0; c < 200; ++c) alone(0, c) = logits(r, c);
    const DeviceMatrix on_device = Upload(alone, DType::kFloat32);
    LogitSummary want;
    specs.rows = absl::MakeConstSpan(&rows[static_cast<size_t>(r)], 1);
    backend().Run(op::SummarizeLogits{specs, on_device.view, absl::MakeSpan(&want, 1)});
    EXPECT_EQ(std::memcmp(&got[static_cast<size_t>(r)], &want, sizeof want), 0) << r;
  }
}

TEST_P(LogitTest, LogitsFarBelowTheLargestVanishQuietly) {
  std::vector<double> values(100, -1e30);
  Matrix row(1, 100);
  row.values = values;
  row(0, 42) = 3;
  const DeviceMatrix on_device = Upload(row, DType::kFloat32);
  const std::vector<LogitRowSpec> rows(1);
  LogitSummary got;
  backend().Run(op::SummarizeLogits{{0, {}, rows}, on_device.view, absl::MakeSpan(&got, 1)});
  EXPECT_NEAR(got.sum_exp, 1, 1e-6);
  EXPECT_NEAR(got.sum_weighted, 0, 1e-5);
  EXPECT_EQ(got.candidates[0].id, 42);
}

}  // namespace
}  // namespace sdar
