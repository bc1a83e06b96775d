// SPDX-License-Identifier: Apache-2.0
// Many requests at once on the real model with K/V memory for few of them, some with drafts: every
// answer is, to the bit, what it is alone without.
#include "gtest/gtest.h"

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/engine/random_requests.h"
#include "tests/sanitized.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

constexpr int kRequests = kSanitized ? 100 : 500;

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
  const std::vector<Asked> asked = RandomAsked(kRequests, 20261124);
  const std::vector<Json> alone = AnswersAlone(asked, GetParam());

  LocalJobOptions options;
  options.ranks.ranks = GetParam();
  options.ranks.dtype = DType::kBFloat16;
  // About five pages of 16 a sequence in the end: memory for 20 of them, slots for 48.
  options.scheduler = {48, 256, 100, 16, true, true, 64};
  LocalJob job(Folder("models/sdar-tiny"), options);
  Collector together;
  int key = 0;
  for (size_t i = 0; i < asked.size(); ++i) {
    RequestFields fields = asked[i].fields;
    fields.drafts = DraftCount{static_cast<int64_t>(i % 4) - 1};
    ASSERT_THAT(job.Submit(fields, asked[i].prompt, together, key), IsOk());
    key += static_cast<int>(fields.n.value_or(1));
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
  EXPECT_GT(status.steps.accepted_drafts, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ManyRequestsTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace sdar
