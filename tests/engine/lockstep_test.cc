// SPDX-License-Identifier: Apache-2.0
// Whole jobs as threads of this process against the golden decodes and sdar-tiny's answers, and
// against themselves: other ranks, other company, fused and plain.
#include <cmath>

#include "gtest/gtest.h"

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

void ExpectSameTrace(const Json& got, const Json& want, const std::string& where) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (size_t i = 0; i < want.size(); ++i) {
    for (const char* key : {"block", "step", "masked", "candidates", "revealed", "tokens"}) {
      ASSERT_EQ(got[i][key], want[i][key]) << where << " step " << i << " " << key;
    }
    for (size_t p = 0; p < want[i]["confidence"].size(); ++p) {
      ASSERT_NEAR(got[i]["confidence"][p].get<double>(), want[i]["confidence"][p].get<double>(),
                  1e-4)
          << where << " step " << i;
    }
  }
}

struct GoldenCase {
  const char* name;
  int ranks;
  MoeExchange exchange;
  bool fused;
  int drafts = 0;
};

class GoldenDecodeTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenDecodeTest, EveryRunIsEqualStepByStep) {
  const GoldenCase& c = GetParam();
  const std::string folder = Folder(std::string("tests/golden/") + c.name);
  LocalJobOptions options;
  options.ranks.ranks = c.ranks;
  options.ranks.model.moe_exchange = c.exchange;
  options.scheduler.fuse_commit = c.fused;
  options.drafts = c.drafts;
  LocalJob job(folder, options);
  const Json runs = ReadRuns(folder + "/expected/decode.json");
  Collector out;
  SubmitRuns(job, runs, out, true);
  out.AwaitAll();
  for (size_t i = 0; i < runs.size(); ++i) {
    const Json got = out.Result(static_cast<int>(i));
    const std::string where = absl::StrCat(c.name, " run ", i);
    ASSERT_EQ(got["token_ids"], runs[i]["token_ids"]) << where;
    ASSERT_EQ(got["finish_reason"], runs[i]["finish_reason"]) << where;
    ASSERT_EQ(got["usage"]["denoising_steps"], runs[i]["denoising_steps"]) << where;
    ExpectSameTrace(got["trace"], runs[i]["trace"], where);
    const int64_t passes = got["usage"]["forward_passes"].get<int64_t>();
    const int64_t steps = runs[i]["denoising_steps"].get<int64_t>();
    if (c.drafts == 0) {
      ASSERT_GE(passes, steps) << where;
    }
    if (c.fused) {
      ASSERT_LE(passes, steps + 1) << where;
    }
  }
  EXPECT_THAT(job.Stop(), IsOk());
}

INSTANTIATE_TEST_SUITE_P(
    Splits, GoldenDecodeTest,
    ::testing::Values(GoldenCase{"dense", 1, MoeExchange::kAuto, true},
                      GoldenCase{"dense", 1, MoeExchange::kAuto, false},
                      GoldenCase{"dense", 2, MoeExchange::kAuto, true},
                      GoldenCase{"dense", 4, MoeExchange::kAuto, true},
                      GoldenCase{"dense_yarn", 1, MoeExchange::kAuto, true},
                      GoldenCase{"dense_yarn", 2, MoeExchange::kAuto, true, 8},
                      GoldenCase{"moe", 1, MoeExchange::kAuto, true},
                      GoldenCase{"moe", 2, MoeExchange::kAllReduce, true},
                      GoldenCase{"moe", 2, MoeExchange::kAllToAll, false},
                      GoldenCase{"moe", 4, MoeExchange::kAllToAll, true},
                      GoldenCase{"moe_b8_tied", 1, MoeExchange::kAuto, true},
                      GoldenCase{"moe_b8_tied", 2, MoeExchange::kAllToAll, true},
                      GoldenCase{"moe_b8_tied", 2, MoeExchange::kAllReduce, false},
                      GoldenCase{"dense", 1, MoeExchange::kAuto, true, 8},
                      GoldenCase{"dense", 2, MoeExchange::kAuto, false, 8},
                      GoldenCase{"dense", 4, MoeExchange::kAuto, true, kAutomaticDrafts},
                      GoldenCase{"moe", 1, MoeExchange::kAuto, true, 3},
                      GoldenCase{"moe", 2, MoeExchange::kAllToAll, true, 8},
                      GoldenCase{"moe", 4, MoeExchange::kAllReduce, true, kAutomaticDrafts},
                      GoldenCase{"moe_b8_tied", 1, MoeExchange::kAuto, false, 8},
                      GoldenCase{"moe_b8_tied", 2, MoeExchange::kAllToAll, true, 8},
                      GoldenCase{"moe_b8_tied", 2, MoeExchange::kAllReduce, true,
                                 kAutomaticDrafts}));

// Requests that sample in every way there is: no cut, cuts inside the candidates, cuts that need
// whole logits, penalties, bias, several samples.
std::vector<RequestFields> SampledRequests() {
  std::vector<RequestFields> all(6);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].temperature = 1.0;
    all[i].seed = 1000 + i;
    all[i].max_tokens = 24;
    all[i].ignore_eos = true;
  }
  all[1].top_k = 20;
  all[1].top_p = 0.9;
  all[2].temperature = 3.0;  // flat: the mass lies beyond the 64 candidates
  all[2].top_p = 0.99;
  all[3].top_k = 300;
  all[3].temperature = 3.0;
  all[4].repetition_penalty = 1.3;
  all[4].frequency_penalty = 0.5;
  all[4].presence_penalty = 0.2;
  all[4].logit_bias = {{17, 2.0f}};
  all[5].n = 3;
  all[5].min_p = 0.05;
  return all;
}

const std::vector<TokenId> kPrompt = {957, 262, 198, 283, 269, 284, 487, 582, 456, 30, 958};

// The tokens of every sample, alone in the job one after the other.
std::vector<Json> RunAlone(LocalJob& job) {
  std::vector<Json> results;
  for (const RequestFields& fields : SampledRequests()) {
    Collector out;
    EXPECT_THAT(job.Submit(fields, kPrompt, out, 0), IsOk());
    out.AwaitAll();
    for (int i = 0; i < fields.n.value_or(1); ++i) results.push_back(out.Result(i)["logprobs"]);
  }
  return results;
}

TEST(SamplingTest, GivesTheSameBitsAloneAndInABatchOf32) {
  for (int ranks : {1, 2}) {
    LocalJobOptions options;
    options.ranks.ranks = ranks;
    options.ranks.dtype = DType::kBFloat16;
    LocalJob job(Folder("models/sdar-tiny"), options);
    const std::vector<Json> alone = RunAlone(job);
    Collector out;
    int key = 0;
    for (const RequestFields& fields : SampledRequests()) {
      ASSERT_THAT(job.Submit(fields, kPrompt, out, key), IsOk());
      key += static_cast<int>(fields.n.value_or(1));
    }
    for (int filler = 0; key + filler < 32; ++filler) {
      RequestFields fields;
      fields.temperature = 1.0;
      fields.max_tokens = 5 + filler;
      fields.block_length = filler % 2 == 0 ? 4 : 8;
      std::vector<TokenId> prompt(static_cast<size_t>(1 + 3 * filler), 300);
      ASSERT_THAT(job.Submit(fields, prompt, out, 1000 + filler), IsOk());
    }
    out.AwaitAll();
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(out.Result(static_cast<int>(i))["logprobs"], alone[i]) << i << " on " << ranks;
    }
  }
}

TEST(SamplingTest, GivesTheSameTextOnOneAndTwoRanksInFloat32) {
  std::vector<Json> results[2];
  for (int ranks : {1, 2}) {
    LocalJobOptions options;
    options.ranks.ranks = ranks;
    LocalJob job(Folder("models/sdar-tiny"), options);
    for (const Json& tokens : RunAlone(job)) {
      Json ids = Json::array();
      for (const Json& token : tokens) ids.push_back(token["id"]);
      results[ranks - 1].push_back(ids);
    }
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(SamplingTest, SamplesOfOneRequestDiffer) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  RequestFields fields;
  fields.temperature = 1.5;
  fields.n = 4;
  fields.seed = 7;
  fields.max_tokens = 16;
  fields.ignore_eos = true;
  Collector out;
  ASSERT_THAT(job.Submit(fields, kPrompt, out, 0), IsOk());
  out.AwaitAll();
  std::set<std::string> texts;
  for (int i = 0; i < 4; ++i) texts.insert(DumpJson(out.Result(i)["token_ids"]));
  EXPECT_EQ(texts.size(), 4u);
}

TEST(LockstepTest, FewSlotsAndPagesGiveTheSameTextsAndAreAllFreeAfterwards) {
  LocalJobOptions options;
  options.ranks.ranks = 2;
  options.scheduler.max_sequences = 3;
  options.scheduler.num_pages = 8;
  options.scheduler.max_batch_rows = 32;
  LocalJob job(Folder("models/sdar-tiny"), options);
  const std::vector<Json> alone = RunAlone(job);
  Collector out;
  int key = 0;
  for (const RequestFields& fields : SampledRequests()) {
    ASSERT_THAT(job.Submit(fields, kPrompt, out, key), IsOk());
    key += static_cast<int>(fields.n.value_or(1));
  }
  out.AwaitAll();
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(out.Result(static_cast<int>(i))["logprobs"], alone[i]) << i;
  }
  // The status is published when the step that ended the last sequence has been applied.
  while (job.engine().GetStatus().running > 0) std::this_thread::yield();
  const EngineStatus status = job.engine().GetStatus();
  EXPECT_EQ(status.free_slots, status.total_slots);
  EXPECT_EQ(status.free_pages, status.total_pages);
}

TEST(LockstepTest, ACancelledSequenceFreesItsSlotAndTheOthersGoOn) {
  LocalJobOptions options;
  options.ranks.ranks = 2;
  LocalJob job(Folder("models/sdar-tiny"), options);
  RequestFields endless;
  endless.max_tokens = 1500;
  endless.ignore_eos = true;
  Collector out;
  auto samples = BuildRequests(endless, kPrompt, job.defaults(), job.engine().config().limits);
  ASSERT_TRUE(samples.ok());
  auto ids = job.engine().Submit({{(*samples)[0], out.For(0)}});
  ASSERT_TRUE(ids.ok());
  RequestFields small;
  small.max_tokens = 40;
  ASSERT_THAT(job.Submit(small, kPrompt, out, 1), IsOk());
  job.engine().Cancel(ids->front(), absl::CancelledError("by the test"));
  out.AwaitAll();
  EXPECT_THAT(out.StatusOf(0), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_THAT(out.StatusOf(1), IsOk());
  while (job.engine().GetStatus().running > 0) std::this_thread::yield();
  EXPECT_EQ(job.engine().GetStatus().free_pages, 256);
}

TEST(LockstepTest, StoppingEndsEverySequenceWithTheStatus) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  RequestFields endless;
  endless.max_tokens = 1500;
  endless.ignore_eos = true;
  Collector out;
  for (int i = 0; i < 40; ++i) ASSERT_THAT(job.Submit(endless, kPrompt, out, i), IsOk());
  EXPECT_THAT(job.Stop(), IsOk());
  out.AwaitAll();
  for (int i = 0; i < 40; ++i) {
    EXPECT_THAT(out.StatusOf(i), StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  }
}

}  // namespace
}  // namespace sdar
