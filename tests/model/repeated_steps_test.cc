// SPDX-License-Identifier: Apache-2.0
// Steps of one size one after the other: a device that captures the first ones launches them again
// on what later ones hold.
#include "runtime/model/step_padding.h"
#include "tests/model/golden_logits.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

constexpr int kSteps = 4;  // as it is, captured, and two of the graph alone
constexpr size_t kRows = 16;

// Rows [first, first + 16) of the golden sequence, whose page is 0, together with one that makes
// the step's size one that is padded.
StepRows OddStep(const GoldenLogits& golden, int32_t block_length, size_t first) {
  StepRows step;
  AppendSegment(step, absl::MakeSpan(golden.ids).subspan(first, kRows), static_cast<int32_t>(first),
                block_length, kRows, {0});
  AppendSegment(step, {golden.ids[0]}, 0, block_length, 0, {1});
  return step;
}

TEST(RepeatedStepsTest, EachStepGivesItsOwnLogitsOnOneRankAndTwo) {
#ifdef SDAR_TEST_CUDA
  if (CountCudaDevices() == 0) GTEST_SKIP() << "this machine has no CUDA device";
#endif
  for (const Split& split : Splits()) {
    if (split.ranks > 2) continue;  // two show what more would
    SCOPED_TRACE(absl::StrCat(split.name, " on ", split.ranks));
    const GoldenLogits golden = Longest(split.name);
    LocalRanksOptions options;
    options.ranks = split.ranks;
    options.model.moe_exchange = split.exchange;
#ifdef SDAR_TEST_CUDA
    options.inspect = [](Backend& backend) {
      EXPECT_EQ(static_cast<CudaBackend&>(backend).num_graph_launches(), kSteps - 1);
    };
#endif
    const auto body = [&](int, SdarModel& model, Communicator&) -> absl::Status {
      const auto block_length = static_cast<int32_t>(*model.config().block_size);
      const size_t count = kRows * static_cast<size_t>(model.config().vocab_size);
      for (size_t i = 0; i < kSteps; ++i) {
        const size_t first = i % 2 * kRows;
        auto logits = ForwardLogits(model, OddStep(golden, block_length, first));
        if (!logits.ok()) return logits.status();
        const auto want = absl::MakeSpan(golden.logits).subspan(i % 2 * count, count);
        EXPECT_LE(RelativeError(absl::MakeSpan(*logits).subspan(0, count), want), 1e-5);
      }
      return absl::OkStatus();
    };
    EXPECT_THAT(RunOnLocalRanks(CaseFolder(split.name), options, body), IsOk());
  }
}

// A step too large to be captured, with logits of a few rows only: the last layer finishes those
// alone.
StepRows LargeStep(const GoldenLogits& golden, int32_t block_length) {
  StepRows step;
  AppendSegment(step, absl::MakeSpan(golden.ids).subspan(0, kRows), 0, block_length, 0, {0});
  while (step.token_ids.size() <= kMostCapturedRows) {
    AppendSegment(step, absl::MakeSpan(golden.ids).subspan(0, kRows), 0, block_length, 0, {1});
  }
  step.logit_rows = {3, 7};
  step.logit_specs.resize(step.logit_rows.size());
  return step;
}

TEST(RepeatedStepsTest, AStepThatIsNotCapturedLeavesTheOthersAlone) {
#ifdef SDAR_TEST_CUDA
  if (CountCudaDevices() == 0) GTEST_SKIP() << "this machine has no CUDA device";
#endif
  const GoldenLogits golden = Longest("dense");
  LocalRanksOptions options;
  options.model.max_rows = kMostCapturedRows + kRows;
  const auto body = [&](int, SdarModel& model, Communicator&) -> absl::Status {
    const auto block_length = static_cast<int32_t>(*model.config().block_size);
    const auto vocab = static_cast<size_t>(model.config().vocab_size);
    const auto want = absl::MakeSpan(golden.logits);
    for (size_t i = 0; i < kSteps; ++i) {
      auto logits = ForwardLogits(model, OddStep(golden, block_length, 0));
      if (!logits.ok()) return logits.status();
      EXPECT_LE(RelativeError(absl::MakeSpan(*logits).subspan(0, kRows * vocab),
                              want.subspan(0, kRows * vocab)),
                1e-5);
      auto few = ForwardLogits(model, LargeStep(golden, block_length));
      if (!few.ok()) return few.status();
      EXPECT_LE(
          RelativeError(absl::MakeSpan(*few).subspan(0, vocab), want.subspan(3 * vocab, vocab)),
          1e-5);
      EXPECT_LE(
          RelativeError(absl::MakeSpan(*few).subspan(vocab, vocab), want.subspan(7 * vocab, vocab)),
          1e-5);
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(RunOnLocalRanks(CaseFolder("dense"), options, body), IsOk());
}

}  // namespace
}  // namespace sdar
