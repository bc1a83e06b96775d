// SPDX-License-Identifier: Apache-2.0
// The forward pass against the golden logits, over ranks, exchanges and dtypes, and against itself
// when the same rows come in other company.
#include <cmath>
#include <cstring>
#include <map>

#include "gtest/gtest.h"

#include "runtime/model/safetensors.h"
#include "tests/model/local_ranks.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

const char* const kCases[] = {"dense", "moe", "moe_b8_tied"};

std::string CaseFolder(const std::string& name) {
  return std::string(SDAR_SOURCE_DIR) + "/tests/golden/" + name;
}

struct GoldenLogits {
  std::vector<TokenId> ids;
  std::vector<float> logits;  // [ids, vocabulary]
};

std::map<std::string, GoldenLogits> ReadGolden(const std::string& folder) {
  auto file = SafetensorsFile::Open(folder + "/expected/forward.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  std::map<std::string, GoldenLogits> out;
  for (const StoredTensor& tensor : file->tensors()) {
    const bool is_ids = tensor.name.rfind("ids.", 0) == 0;
    GoldenLogits& golden = out[tensor.name.substr(tensor.name.find('.') + 1)];
    const auto bytes = file->Bytes(tensor);
    if (is_ids) {
      for (size_t i = 0; i < bytes.size(); i += 8) {
        int64_t id;
        std::memcpy(&id, bytes.data() + i, sizeof id);
        golden.ids.push_back(static_cast<TokenId>(id));
      }
    } else {
      golden.logits.resize(bytes.size() / sizeof(float));
      std::memcpy(golden.logits.data(), bytes.data(), bytes.size());
    }
  }
  return out;
}

// Appends positions [first, first + ids.size()) of a sequence whose pages are `pages`, writing the
// K/V of the first `num_written`; every row gets logits.
void AppendSegment(StepRows& step, absl::Span<const TokenId> ids, int32_t first,
                   int32_t block_length, size_t num_written, absl::Span<const int32_t> pages) {
  AttentionSegment segment;
  segment.first_row = static_cast<int32_t>(step.token_ids.size());
  segment.num_rows = static_cast<int32_t>(ids.size());
  segment.first_position = first;
  segment.block_length = block_length;
  segment.page_offset = static_cast<int32_t>(step.page_table.size());
  step.segments.push_back(segment);
  step.page_table.insert(step.page_table.end(), pages.begin(), pages.end());
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t position = first + static_cast<int64_t>(i);
    step.logit_rows.push_back(static_cast<int32_t>(step.token_ids.size()));
    step.token_ids.push_back(ids[i]);
    step.positions.push_back(static_cast<int32_t>(position));
    step.kv_slots.push_back(
        i < num_written ? pages[static_cast<size_t>(position / 64)] * 64 + position % 64 : -1);
    step.logit_specs.emplace_back();
  }
}

absl::StatusOr<std::vector<float>> ForwardLogits(SdarModel& model, const StepRows& step) {
  auto summaries = model.Forward(step);
  if (!summaries.ok()) return summaries.status();
  std::vector<int32_t> rows(step.logit_rows.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  return model.GatherLogits(rows);
}

double RelativeError(absl::Span<const float> got, absl::Span<const float> want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    norm += double{want[i]} * want[i];
  }
  return std::sqrt(error / norm);
}

struct Split {
  std::string name;
  int ranks;
  MoeExchange exchange;
};

std::vector<Split> Splits() {
  std::vector<Split> splits;
  for (const char* name : kCases) {
    auto config = LoadModelConfig(CaseFolder(name));
    EXPECT_TRUE(config.ok()) << config.status();
    for (int ranks : {1, 2, 4}) {
      if (!RankCountWorks(*config, ranks)) continue;
      splits.push_back({name, ranks, MoeExchange::kAllReduce});
      if (ranks > 1) splits.push_back({name, ranks, MoeExchange::kAllToAll});
    }
  }
  return splits;
}

// Calls check(rank, model, golden, logits) for every golden sequence on every split.
void ForEachGolden(DType dtype, const std::function<void(const GoldenLogits&, const Split&,
                                                         const std::vector<float>&)>& check) {
  for (const Split& split : Splits()) {
    const auto golden = ReadGolden(CaseFolder(split.name));
    LocalRanksOptions options;
    options.ranks = split.ranks;
    options.dtype = dtype;
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

TEST(ForwardTest, MatchesTheGoldenLogitsInFloat32OnEverySplit) {
  ForEachGolden(DType::kFloat32, [](const GoldenLogits& want, const Split& split,
                                    const std::vector<float>& got) {
    EXPECT_LE(RelativeError(got, want.logits), 1e-5) << split.name << " on " << split.ranks;
  });
}

TEST(ForwardTest, StaysCloseToTheGoldenLogitsInBFloat16OnEverySplit) {
  ForEachGolden(DType::kBFloat16, [](const GoldenLogits& want, const Split& split,
                                     const std::vector<float>& got) {
    const double limit = split.name == "dense" ? 1e-2 : 0.3;
    EXPECT_LE(RelativeError(got, want.logits), limit) << split.name << " on " << split.ranks;
  });
}

// The longest golden sequence of a case.
GoldenLogits Longest(const std::string& name) {
  GoldenLogits longest;
  for (auto& [key, golden] : ReadGolden(CaseFolder(name))) {
    if (golden.ids.size() > longest.ids.size()) longest = golden;
  }
  return longest;
}

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
