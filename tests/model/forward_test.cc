// SPDX-License-Identifier: Apache-2.0
// The forward pass against itself: when the same rows come in other company, and over exchanges.
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"

#include "tests/model/golden_logits.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

class CompanyTest
    : public ::testing::TestWithParam<std::tuple<const char*, DType, InstructionSet>> {};

TEST_P(CompanyTest, LogitsAreTheSameBitsChunkedAndBesideOtherSequences) {
  const auto [name, dtype, set] = GetParam();
  if (set > BestInstructionSet() && set != InstructionSet::kAmxEmulated) {
    GTEST_SKIP() << "this machine has no " << Name(set);
  }
  LocalRanksOptions options;
  options.dtype = dtype;
  options.instruction_set = set;
  options.threads = 2;
  const GoldenLogits golden = Longest(name);
  const auto body = [&](int, SdarModel& model, Communicator&) -> absl::Status {
    const auto b = static_cast<int32_t>(*model.config().block_size);
    const auto vocab = static_cast<size_t>(model.config().vocab_size);
    StepRows whole;
    AppendSegment(whole, golden.ids, 0, b, 0, {0});
    auto expected = ForwardLogits(model, whole);
    if (!expected.ok()) return expected.status();
    // One block in pages first, then the rest together with two other sequences.
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

INSTANTIATE_TEST_SUITE_P(
    AllTargets, CompanyTest,
    ::testing::Combine(::testing::ValuesIn(kCases),
                       ::testing::Values(DType::kFloat32, DType::kBFloat16),
                       ::testing::Values(InstructionSet::kPortable, InstructionSet::kAvx2,
                                         InstructionSet::kAvx512, InstructionSet::kAvx512Bf16,
                                         InstructionSet::kAmx, InstructionSet::kAmxEmulated)));

// Keeps the logits of some of a step's rows only.
void KeepLogits(StepRows& step, std::vector<int32_t> rows) {
  step.logit_specs.resize(rows.size());
  step.logit_rows = std::move(rows);
}

class LogitRowsTest : public ::testing::TestWithParam<Split> {
 protected:
  static constexpr int32_t kRows[] = {1, 2, 6, 11};

  // The block of the first rows is committed without logits, then the rest gets a few.
  static absl::Status CompareWithAll(SdarModel& model, absl::Span<const TokenId> ids) {
    const auto b = static_cast<int32_t>(*model.config().block_size);
    const auto vocab = static_cast<size_t>(model.config().vocab_size);
    StepRows whole;
    AppendSegment(whole, ids, 0, b, 0, {0});
    auto all = ForwardLogits(model, whole);
    if (!all.ok()) return all.status();
    StepRows commit;
    const auto committed = static_cast<size_t>(b);
    AppendSegment(commit, ids.subspan(0, committed), 0, b, committed, {5});
    KeepLogits(commit, {});
    if (auto none = model.Forward(commit); !none.ok()) return none.status();
    StepRows rest;
    AppendSegment(rest, ids.subspan(committed), b, b, 0, {5});
    KeepLogits(rest, {std::begin(kRows), std::end(kRows)});
    auto few = ForwardLogits(model, rest);
    if (!few.ok()) return few.status();
    for (size_t i = 0; i < std::size(kRows); ++i) {
      const size_t row = committed + static_cast<size_t>(kRows[i]);
      EXPECT_EQ(std::memcmp(few->data() + i * vocab, all->data() + row * vocab, vocab * 4), 0)
          << "row " << row;
    }
    return absl::OkStatus();
  }
};

TEST_P(LogitRowsTest, AreTheSameBitsWhicheverOtherRowsHaveLogits) {
  LocalRanksOptions options;
  options.ranks = GetParam().ranks;
  options.dtype = DType::kBFloat16;
  options.model.moe_exchange = GetParam().exchange;
  const GoldenLogits golden = Longest(GetParam().name);
  ASSERT_GE(golden.ids.size(), 20u);
  const auto body = [&](int, SdarModel& model, Communicator&) {
    return CompareWithAll(model, golden.ids);
  };
  EXPECT_THAT(RunOnLocalRanks(CaseFolder(GetParam().name), options, body), IsOk());
}

INSTANTIATE_TEST_SUITE_P(AllSplits, LogitRowsTest, ::testing::ValuesIn(Splits()),
                         [](const ::testing::TestParamInfo<Split>& split) {
                           return absl::StrCat(split.param.name, "_", split.param.ranks, "ranks_",
                                               split.param.exchange == MoeExchange::kAllToAll
                                                   ? "all_to_all"
                                                   : "all_reduce");
                         });

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
