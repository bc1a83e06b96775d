// SPDX-License-Identifier: Apache-2.0
// The ways in which a sparse layer's experts can be spread over ranks, compared with each other.
#include "runtime/model/expert_exchange.h"

#include <random>

#include "tests/model/golden_logits.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

struct Way {
  MoeExchange exchange;
  bool captured;
};

class ExpertExchangeTest : public ::testing::TestWithParam<int> {
 protected:
  // Rank `rank`'s output of the first layer's experts for `x`, each way.
  static absl::Status RunRank(int rank, const std::shared_ptr<LocalGroup>& group,
                              absl::Span<const float> x, absl::Span<const Way> ways,
                              std::vector<std::vector<float>>& outputs) {
    auto checkpoint = Checkpoint::Open(CaseFolder("moe"));
    if (!checkpoint.ok()) return checkpoint.status();
    const ModelConfig& config = checkpoint->config();
    CpuBackendOptions cpu;
    cpu.act_dtype = DType::kFloat32;
    auto backend = CpuBackend::Create(cpu);
    if (!backend.ok()) return backend.status();
    auto weights =
        LoadShardedWeights(config, [&](absl::string_view name) { return checkpoint->Find(name); },
                           {group->size(), rank, WeightFormat::kAct}, **backend, {});
    if (!weights.ok()) return weights.status();
    LocalCommunicator communicator(group, rank);
    const int64_t rows = static_cast<int64_t>(x.size()) / config.hidden_size;
    std::vector<float> in(x.begin(), x.end());
    for (const Way& way : ways) {
      auto exchange = ExpertExchange::Create(config, way.exchange, rows, **backend, communicator);
      if (!exchange.ok()) return exchange.status();
      outputs.emplace_back(in.size());
      const absl::Status status = exchange->Run(
          weights->layers[0].router, weights->layers[0].experts,
          MakeView(in.data(), DType::kFloat32, rows, config.hidden_size), way.captured,
          MakeView(outputs.back().data(), DType::kFloat32, rows, config.hidden_size));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
};

TEST_P(ExpertExchangeTest, EveryWayGivesEveryRankTheSameBits) {
  auto config = LoadModelConfig(CaseFolder("moe"));
  ASSERT_THAT(config, IsOk());
  ASSERT_TRUE(config->IsSparse(0));
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (int64_t rows : {1, 2, 5, 7, 16}) {
    SCOPED_TRACE(rows);
    std::vector<float> x(static_cast<size_t>(rows * config->hidden_size));
    for (float& value : x) value = normal(random);
    const Way ways[] = {{MoeExchange::kAllReduce, false},
                        {MoeExchange::kAllReduce, true},
                        {MoeExchange::kAllToAll, false},
                        {MoeExchange::kAllToAll, true}};
    const auto group = std::make_shared<LocalGroup>(GetParam());
    std::vector<std::vector<std::vector<float>>> outputs(static_cast<size_t>(GetParam()));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < GetParam(); ++rank) {
      threads.emplace_back([&, rank] {
        EXPECT_THAT(RunRank(rank, group, x, ways, outputs[static_cast<size_t>(rank)]), IsOk());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& of_rank : outputs) {
      ASSERT_EQ(of_rank.size(), std::size(ways));
      for (const std::vector<float>& output : of_rank) EXPECT_EQ(output, outputs[0][0]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ExpertExchangeTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace sdar
