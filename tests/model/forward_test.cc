// SPDX-License-Identifier: Apache-2.0
// The forward pass against itself: when the same rows come in other company, and over exchanges.
#include <cstring>

#include "tests/model/golden_logits.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

class CompanyTest : public ::testing::TestWithParam<std::tuple<const char*, DType, int>> {};

TEST_P(CompanyTest, LogitsAreTheSameBitsChunkedAndBesideOtherSequences) {
  const auto [name, dtype, set] = GetParam();
  if (static_cast<InstructionSet>(set) > BestInstructionSet()) {
    GTEST_SKIP() << "this machine has no " << Name(static_cast<InstructionSet>(set));
  }
  LocalRanksOptions options;
  options.dtype = dtype;
  options.instruction_set = static_cast<InstructionSet>(set);
  options.threads = 2;
  const GoldenLogits golden = Longest(name);
  const auto body = [&](int, SdarModel& model, Communicator&) -> absl::Status {
    const auto b = static_cast<int32_t>(*model.config().block_size);
    const auto vocab = static_cast<size_t>(model.config().vocab_size);
    StepRows whole;
    AppendSegment(whole, golden.ids, 0, b, 0, {0});
    auto expected = ForwardLogits(model, whole);
    if (!expected.ok()) return expected.status();
    // One block in pages first, then the rest beside two other sequences.
    const absl::Span<const TokenId> ids = golden.ids;
    StepRows first;
    AppendSegment(first, ids.subspan(0, static_cast<size_t>(b)), 0, b, static_cast<size_t>(b), {5});
    auto head = ForwardLogits(model, first);
    if (!head.ok()) return head.status();
    StepRows rest;
    AppendSegment(rest, ids.subspan(0, 7), 0, b, 0, {6});
    AppendSegment(rest, ids.subspan(static_cast<size_t>(b)), b, b, 0, {5});
    AppendSegment(rest, ids, 0, b, 0, {7});
    auto tail = ForwardLogits(model, rest);
    if (!tail.ok()) return tail.status();
    std::vector<float> got(*head);
    got.insert(got.end(), tail->begin() + static_cast<std::ptrdiff_t>(7 * vocab),
               tail->begin() +
                   static_cast<std::ptrdiff_t>((7 + ids.size() - static_cast<size_t>(b)) * vocab));
    EXPECT_EQ(std::memcmp(got.data(), expected->data(), expected->size() * sizeof(float)), 0);
    return absl::OkStatus();
  };
  EXPECT_THAT(RunOnLocalRanks(CaseFolder(name), options, body), IsOk());
}

INSTANTIATE_TEST_SUITE_P(AllTargets, CompanyTest,
                         ::testing::Combine(::testing::ValuesIn(kCases),
                                            ::testing::Values(DType::kFloat32, DType::kBFloat16),
                                            ::testing::Range(0, 4)));

TEST(ForwardTest, BothExchangesGiveTheSameBits) {
  const GoldenLogits golden = Longest("moe");
  std::vector<float> results[2];
  for (int i = 0; i < 2; ++i) {
    LocalRanksOptions options;
    options.ranks = 4;
    options.dtype = DType::kBFloat16;
    options.model.moe_exchange = i == 0 ? MoeExchange::kAllReduce : MoeExchange::kAllToAll;
    const auto body = [&](int rank, SdarModel& model, Communicator&) -> absl::Status {
      StepRows step;
      AppendSegment(step, golden.ids, 0, 4, 0, {0});
      auto logits = ForwardLogits(model, step);
      if (!logits.ok()) return logits.status();
      if (rank == 0) results[i] = *std::move(logits);
      return absl::OkStatus();
    };
    ASSERT_THAT(RunOnLocalRanks(CaseFolder("moe"), options, body), IsOk());
  }
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace sdar
