// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/score_fields.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/request/request_json.h"
#include "tests/member_count.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr RequestLimits kScoreLimits = {1024, 40, 64, 100, 512};

absl::StatusOr<GenerationRequest> Build(const ScoreFields& fields,
                                        std::vector<TokenId> prompt = {1},
                                        std::vector<TokenId> targets = {2, 3}) {
  return BuildScoreRequest(fields, std::move(prompt), std::move(targets), RequestDefaults(),
                           kScoreLimits);
}

TEST(ScoreFieldsTest, EveryMemberIsVisitedUnderANameOfItsOwnThatTheApiDescribes) {
  std::ifstream file(std::string(SDAR_SOURCE_DIR) + "/docs/api.md");
  std::stringstream text;
  text << file.rdbuf();
  ScoreFields fields;
  std::set<std::string> names;
  std::set<const void*> members;
  VisitFields(fields, [&](const char* name, auto& member) {
    names.insert(name);
    members.insert(&member);
    EXPECT_THAT(text.str(), HasSubstr("`" + std::string(name) + "`"));
  });
  EXPECT_EQ(names.size(), MemberCount<ScoreFields>());
  EXPECT_EQ(members.size(), MemberCount<ScoreFields>());
}

TEST(ScoreFieldsTest, JsonIsReadByName) {
  ScoreFields fields;
  auto readers = RequestFieldReaders(fields);
  EXPECT_THAT(readers.at("top_logprobs")(Json(3)), IsOk());
  EXPECT_EQ(fields.top_logprobs, 3);
  EXPECT_EQ(readers.count("temperature"), 0u);
}

TEST(BuildScoreRequestTest, IsWhatSequentialDecodingOnePositionAStepWouldBe) {
  ScoreFields fields;
  fields.block_length = 8;
  fields.top_logprobs = 20;
  fields.priority = -3;
  const auto request = Build(fields);
  ASSERT_THAT(request, IsOk());
  EXPECT_TRUE(request->scores());
  EXPECT_THAT(request->prompt, ElementsAre(1));
  EXPECT_THAT(request->targets, ElementsAre(2, 3));
  EXPECT_EQ(request->remasking.strategy, RemaskingStrategy::kSequential);
  EXPECT_EQ(request->remasking.block_length, 8);
  EXPECT_EQ(request->remasking.denoising_steps, 8);
  EXPECT_EQ(request->top_logprobs, 20);
  EXPECT_EQ(request->priority, -3);
  EXPECT_EQ(request->drafts, 0);
  EXPECT_EQ(request->max_length(), 3);
}

TEST(BuildScoreRequestTest, ThePromptMayBeEmptyAndBlocksMayBeOfOne) {
  ScoreFields fields;
  fields.block_length = 1;
  EXPECT_THAT(Build(fields, {}), IsOk());
}

TEST(BuildScoreRequestTest, NamesWhatIsWrong) {
  const auto refused = [](const absl::StatusOr<GenerationRequest>& request, const char* named) {
    EXPECT_THAT(request, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(named)));
  };
  refused(Build({}, {1}, {}), "continuation: it is empty");
  refused(Build({}, {1, 1024}), "prompt[1]: expected a token id below 1024, got 1024");
  refused(Build({}, {1}, {2, -1}), "continuation[1]: expected a token id below 1024, got -1");
  refused(Build({}, std::vector<TokenId>(39, 1)),
          "maximum context length is 40 tokens. The prompt has 39 tokens, and the continuation 2.");
  for (const int64_t wrong : {int64_t{0}, int64_t{3}, int64_t{-4}, int64_t{1} << 40}) {
    ScoreFields fields;
    fields.block_length = wrong;
    refused(Build(fields), "block_length");
  }
  for (const int64_t wrong : {int64_t{-1}, int64_t{21}, int64_t{1} << 40}) {
    ScoreFields fields;
    fields.top_logprobs = wrong;
    refused(Build(fields), "top_logprobs: expected 0 .. 20");
  }
  ScoreFields fields;
  fields.priority = 101;
  refused(Build(fields), "priority");
}

TEST(BuildScoreRequestTest, WhatCouldNeverFitTheMemoryIsRefused) {
  RequestLimits limits = kScoreLimits;
  limits.max_sequence_length = 1000;
  limits.num_pages = 2;
  // The last block needs no page.
  EXPECT_THAT(BuildScoreRequest({}, {}, std::vector<TokenId>(132, 1), {}, limits), IsOk());
  EXPECT_THAT(BuildScoreRequest({}, {}, std::vector<TokenId>(133, 1), {}, limits),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("need 3 pages")));
}

}  // namespace
}  // namespace sdar
