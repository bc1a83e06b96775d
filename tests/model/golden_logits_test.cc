// SPDX-License-Identifier: Apache-2.0
// The forward pass against the golden logits, over ranks, exchanges and dtypes.
#include "tests/model/golden_logits.h"

#include "absl/strings/match.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

// Calls check(rank, model, golden, logits) for every golden sequence on every split.
void ForEachGolden(DType dtype, WeightFormat weights,
                   const std::function<void(const GoldenLogits&, const Split&,
                                            const std::vector<float>&)>& check) {
#ifdef SDAR_TEST_CUDA
  if (CountCudaDevices() == 0) GTEST_SKIP() << "this machine has no CUDA device";
#endif
  for (const Split& split : Splits()) {
    const auto golden = ReadGolden(CaseFolder(split.name));
    LocalRanksOptions options;
    options.ranks = split.ranks;
    options.dtype = dtype;
    options.weights = weights;
    options.model.moe_exchange = split.exchange;
    const auto body = [&](int rank, SdarModel& model, Communicator&) -> absl::Status {
      for (const auto& [key, want] : golden) {
        StepRows step;
        AppendSegment(step, want.ids, 0, static_cast<int32_t>(*model.config().block_size), 0,
                      {0, 1, 2});
        auto logits = ForwardLogits(model, step);
        if (!logits.ok()) return logits.status();
        if (rank == 0) check(want, split, *logits);
      }
      return absl::OkStatus();
    };
    EXPECT_THAT(RunOnLocalRanks(CaseFolder(split.name), options, body), IsOk());
  }
}

bool IsDense(const Split& split) { return absl::StartsWith(split.name, "dense"); }

TEST(GoldenLogitsTest, MatchesTheGoldenLogitsInFloat32OnEverySplit) {
  ForEachGolden(DType::kFloat32, WeightFormat::kAct,
                [](const GoldenLogits& want, const Split& split, const std::vector<float>& got) {
                  EXPECT_LE(RelativeError(got, want.logits), 1e-5)
                      << split.name << " on " << split.ranks;
                });
}

TEST(GoldenLogitsTest, StaysCloseToTheGoldenLogitsInBFloat16OnEverySplit) {
  ForEachGolden(DType::kBFloat16, WeightFormat::kAct,
                [](const GoldenLogits& want, const Split& split, const std::vector<float>& got) {
                  const double limit = IsDense(split) ? 1e-2 : 0.3;
                  EXPECT_LE(RelativeError(got, want.logits), limit)
                      << split.name << " on " << split.ranks;
                });
}

#ifndef SDAR_TEST_CUDA
// An expert that is chosen otherwise moves a logit more than all rounding.
TEST(GoldenLogitsTest, Int8WeightsStayNearTheGoldenLogitsOnEverySplit) {
  for (DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    ForEachGolden(dtype, WeightFormat::kInt8,
                  [](const GoldenLogits& want, const Split& split, const std::vector<float>& got) {
                    const double limit = IsDense(split) ? 0.04 : 0.15;
                    EXPECT_LE(RelativeError(got, want.logits), limit)
                        << split.name << " on " << split.ranks;
                  });
  }
}
#endif

}  // namespace
}  // namespace sdar
