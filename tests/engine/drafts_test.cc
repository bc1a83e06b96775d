// SPDX-License-Identifier: Apache-2.0
// Drafts on the real model: the same steps, bit for bit, in fewer passes.
#include <map>
#include <thread>

#include "gtest/gtest.h"

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/engine/random_requests.h"
#include "tests/sanitized.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// The answers to all samples of the requests, asked at once, with their traces.
std::vector<Json> Answers(const std::vector<Asked>& asked, int drafts, int ranks,
                          StepCounters& counters) {
  LocalJobOptions options;
  options.ranks.ranks = ranks;
  options.ranks.dtype = DType::kBFloat16;
  options.scheduler = {24, 512, 400, 16, true};
  options.drafts = drafts;
  LocalJob job(Folder("models/sdar-tiny"), options);
  Collector out;
  int samples = 0;
  for (const Asked& a : asked) {
    EXPECT_THAT(job.Submit(a.fields, a.prompt, out, samples, true), IsOk());
    samples += static_cast<int>(a.fields.n.value_or(1));
  }
  out.AwaitAll();
  // The status is published when the step that ended the last sequence has been applied.
  while (job.engine().GetStatus().running > 0) std::this_thread::yield();
  counters = job.engine().GetStatus().steps;
  std::vector<Json> answers;
  for (int i = 0; i < samples; ++i) answers.push_back(Answer(out, i));
  return answers;
}

struct RandomRuns {
  int ranks;
  int requests;
};

class DraftsTest : public ::testing::TestWithParam<RandomRuns> {};

TEST_P(DraftsTest, LeaveEveryStepOfEveryAnswerAsItIsWithout) {
  const auto [ranks, requests] = GetParam();
  const std::vector<Asked> asked = RandomAsked(kSanitized ? requests / 10 : requests, 20261125);
  StepCounters none, some;
  const std::vector<Json> without = Answers(asked, 0, ranks, none);
  EXPECT_EQ(none.drafts, 0u);
  for (int drafts : {8, kAutomaticDrafts}) {
    const std::vector<Json> with = Answers(asked, drafts, ranks, some);
    for (size_t i = 0; i < without.size(); ++i) ASSERT_EQ(with[i], without[i]) << i;
    EXPECT_GT(some.accepted_drafts, 0u) << drafts;
    EXPECT_EQ(some.reveals_per_step.total(), none.reveals_per_step.total());
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, DraftsTest,
                         ::testing::Values(RandomRuns{1, 700}, RandomRuns{2, 300},
                                           RandomRuns{4, 100}));

// Forward passes by strategy of the reference's runs, one after the other.
std::map<std::string, int64_t> Passes(int drafts) {
  LocalJobOptions options;
  options.scheduler.max_sequences = 1;
  options.drafts = drafts;
  LocalJob job(Folder("models/sdar-tiny"), options);
  const Json runs = ReadRuns(Folder("models/sdar-tiny/expected.json"));
  Collector out;
  SubmitRuns(job, runs, out, false);
  out.AwaitAll();
  std::map<std::string, int64_t> passes;
  for (size_t i = 0; i < runs.size(); ++i) {
    const Json got = out.Result(static_cast<int>(i));
    EXPECT_EQ(got["token_ids"], runs[i]["token_ids"]) << i;
    passes[runs[i]["request"]["remasking_strategy"].get<std::string>()] +=
        got["usage"]["forward_passes"].get<int64_t>();
  }
  return passes;
}

TEST(DraftPassesTest, ASequenceAloneNeedsHalfThePassesWhenStepsAreStaticAndFewerWhenDynamic) {
  std::map<std::string, int64_t> without = Passes(0), with = Passes(8);
  const auto saved = [&](const char* strategy) {
    return static_cast<double>(without[strategy]) / static_cast<double>(with[strategy]);
  };
  EXPECT_GE(saved("low_confidence_static"), 2.0);
  EXPECT_GE(saved("low_confidence_dynamic"), 1.05);
}

}  // namespace
}  // namespace sdar
