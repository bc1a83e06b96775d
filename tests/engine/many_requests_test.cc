// SPDX-License-Identifier: Apache-2.0
// Many requests at once on the real model with K/V memory for few of them: every answer is, to the
// bit, what it is alone.
#include <random>

#include "gtest/gtest.h"

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

constexpr int kRequests = 500;

struct Asked {
  RequestFields fields;
  std::vector<TokenId> prompt;
};

// Prompts share stems of one or two pages; lengths, blocks, strategies and sampling vary.
Asked RandomRequest(std::mt19937& random) {
  const auto below = [&](unsigned n) { return static_cast<int64_t>(random() % n); };
  Asked asked;
  const int64_t stem = below(4) * 20;
  for (int64_t i = 0; i < stem; ++i) asked.prompt.push_back(static_cast<TokenId>(262 + i));
  for (int64_t i = 0, n = 1 + below(24); i < n; ++i) {
    asked.prompt.push_back(static_cast<TokenId>(below(900)));
  }
  RequestFields& fields = asked.fields;
  fields.seed = random();
  fields.max_tokens = 1 + below(96);
  fields.ignore_eos = below(4) != 0;
  fields.block_length = below(2) == 0 ? 4 : 8;
  fields.denoising_steps = 1 + below(4);
  fields.remasking_strategy = static_cast<RemaskingStrategy>(below(4));
  fields.temperature = below(2) == 0 ? 0.0 : 1.2;
  if (below(3) == 0) fields.top_k = 20;
  if (below(4) == 0) fields.top_p = 0.9;
  if (below(4) == 0) {
    fields.repetition_penalty = 1.2;
    fields.presence_penalty = 0.3;
    fields.frequency_penalty = 0.2;
  }
  if (below(8) == 0) fields.n = 2;
  if (below(8) == 0) fields.priority = below(3);
  return asked;
}

// Everything an answer says that may not depend on its company.
Json Answer(Collector& out, int key) {
  const Json result = out.Result(key);
  return {{"tokens", result["token_ids"]},
          {"logprobs", result["logprobs"]},
          {"text", result["text"]},
          {"steps", result["usage"]["denoising_steps"]}};
}

// One answer at a time, without a prefix cache, on a job of its own.
std::vector<Json> AnswersAlone(const std::vector<Asked>& asked, int ranks) {
  LocalJobOptions options;
  options.ranks.ranks = ranks;
  options.ranks.dtype = DType::kBFloat16;
  options.scheduler.page_size = 16;
  options.scheduler.prefix_cache = false;
  LocalJob job(Folder("models/sdar-tiny"), options);
  std::vector<Json> answers;
  for (const Asked& a : asked) {
    Collector alone;
    EXPECT_THAT(job.Submit(a.fields, a.prompt, alone, 0), IsOk());
    alone.AwaitAll();
    for (int sample = 0; sample < a.fields.n.value_or(1); ++sample) {
      answers.push_back(Answer(alone, sample));
    }
  }
  return answers;
}

class ManyRequestsTest : public ::testing::TestWithParam<int> {};

TEST_P(ManyRequestsTest, GiveTheSameAnswersTogetherInLittleMemoryAsOneAtATime) {
  std::mt19937 random(20261124);
  std::vector<Asked> asked;
  for (int i = 0; i < kRequests; ++i) asked.push_back(RandomRequest(random));
  const std::vector<Json> alone = AnswersAlone(asked, GetParam());

  LocalJobOptions options;
  options.ranks.ranks = GetParam();
  options.ranks.dtype = DType::kBFloat16;
  // About five pages of 16 a sequence in the end: memory for 20 of them, slots for 48.
  options.scheduler = {48, 256, 100, 16, true, true, 64};
  LocalJob job(Folder("models/sdar-tiny"), options);
  Collector together;
  int key = 0;
  for (const Asked& a : asked) {
    ASSERT_THAT(job.Submit(a.fields, a.prompt, together, key), IsOk());
    key += static_cast<int>(a.fields.n.value_or(1));
  }
  together.AwaitAll();
  for (size_t i = 0; i < alone.size(); ++i) {
    ASSERT_EQ(Answer(together, static_cast<int>(i)), alone[i]) << i;
  }
  while (job.engine().GetStatus().running > 0) std::this_thread::yield();
  const EngineStatus status = job.engine().GetStatus();
  EXPECT_EQ(status.free_slots, status.total_slots);
  EXPECT_EQ(status.free_pages, status.total_pages);
  EXPECT_GT(status.preemptions, 0u);
  EXPECT_GT(status.prefix_cache_hit_tokens, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ManyRequestsTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace sdar
