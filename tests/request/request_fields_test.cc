// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/request_fields.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/member_count.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr RequestLimits kLimits = {1024, 2048, 64, 100, 512};

TEST(RequestFieldsTest, EveryMemberIsVisitedUnderANameOfItsOwn) {
  RequestFields fields;
  std::set<std::string> names;
  std::set<const void*> members;
  VisitFields(fields, [&](const char* name, auto& member) {
    names.insert(name);
    members.insert(&member);
  });
  EXPECT_EQ(names.size(), MemberCount<RequestFields>());
  EXPECT_EQ(members.size(), MemberCount<RequestFields>());
}

TEST(RequestFieldsTest, EveryFieldHasALineInTheDescriptionOfTheApi) {
  std::ifstream file(std::string(SDAR_SOURCE_DIR) + "/docs/api.md");
  std::stringstream text;
  text << file.rdbuf();
  RequestFields fields;
  VisitFields(fields, [&](const char* name, auto&) {
    EXPECT_THAT(text.str(), HasSubstr("`" + std::string(name) + "`"));
  });
}

TEST(BuildRequestsTest, SamplingDefaultsCountOnlyWhereTheModelSamples) {
  RequestDefaults defaults;
  defaults.generation.temperature = 0.6;
  defaults.generation.top_k = 20;
  auto greedy = BuildRequests({}, {1, 2}, defaults, kLimits);
  ASSERT_THAT(greedy, IsOk());
  EXPECT_TRUE((*greedy)[0].sampling.greedy());
  defaults.generation.do_sample = true;
  auto sampled = BuildRequests({}, {1, 2}, defaults, kLimits);
  ASSERT_THAT(sampled, IsOk());
  EXPECT_EQ((*sampled)[0].sampling.temperature, 0.6);
  EXPECT_EQ((*sampled)[0].sampling.top_k, 20);
}

TEST(BuildRequestsTest, IgnoreEosDropsTheModelsEndsButNotTheRequestsOwn) {
  RequestDefaults defaults;
  defaults.generation.eos_token_ids = {958, 956};
  RequestFields fields;
  fields.stop_token_ids = {7};
  fields.ignore_eos = true;
  auto requests = BuildRequests(fields, {1}, defaults, kLimits);
  ASSERT_THAT(requests, IsOk());
  EXPECT_EQ((*requests)[0].stopping.stop_ids, std::vector<TokenId>{7});
  fields.ignore_eos = false;
  EXPECT_EQ((*BuildRequests(fields, {1}, defaults, kLimits))[0].stopping.stop_ids,
            (std::vector<TokenId>{7, 956, 958}));
}

TEST(BuildRequestsTest, IdsThatStopAreASetThatSamplesShare) {
  RequestFields fields;
  fields.stop_token_ids = {9, 7, 9, 7, 8};
  fields.n = 2;
  const auto requests = BuildRequests(fields, {1}, {}, kLimits);
  ASSERT_THAT(requests, IsOk());
  EXPECT_EQ((*requests)[0].stopping.stop_ids, (std::vector<TokenId>{7, 8, 9}));
  EXPECT_EQ((*requests)[0].stopping.stop_ids.begin(), (*requests)[1].stopping.stop_ids.begin());
}

TEST(BuildRequestsTest, MoreIdsThanThereAreAreRefusedUnread) {
  const auto too_many = static_cast<size_t>(kLimits.vocab_size) + 1;
  RequestFields stops;
  stops.stop_token_ids.assign(too_many, 7);
  const auto stops_refused = BuildRequests(stops, {1}, {}, kLimits);
  EXPECT_EQ(stops_refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(stops_refused.status().message()), HasSubstr("stop_token_ids"));
  RequestFields biases;
  biases.logit_bias.assign(too_many, {7, 1.0f});
  EXPECT_EQ(BuildRequests(biases, {1}, {}, kLimits).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(BuildRequestsTest, SomeTokenMustBeLeftToChoose) {
  RequestLimits limits = kLimits;
  limits.forbidden = {{0, 3}, {10, limits.vocab_size}};
  RequestFields fields;
  fields.stop_token_ids = {3, 4, 5, 6, 7, 8, 9};
  EXPECT_THAT(BuildRequests(fields, {1}, {}, limits), IsOk());
  fields.min_tokens = 1;
  const auto refused = BuildRequests(fields, {1}, {}, limits);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("stop_token_ids"));
  fields.stop_token_ids = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_THAT(BuildRequests(fields, {1}, {}, limits), IsOk());
}

TEST(BuildRequestsTest, MaxTokensDefaultsToWhatFits) {
  auto requests = BuildRequests({}, std::vector<TokenId>(100, 1), {}, kLimits);
  ASSERT_THAT(requests, IsOk());
  EXPECT_EQ((*requests)[0].stopping.max_tokens, 1948);
  RequestLimits small = kLimits;
  small.num_pages = 3;  // 192 positions are committed at most, and the last block never is
  auto in_memory = BuildRequests({}, std::vector<TokenId>(100, 1), {}, small);
  ASSERT_THAT(in_memory, IsOk());
  EXPECT_EQ((*in_memory)[0].stopping.max_tokens, 96);
}

TEST(BuildRequestsTest, SamplesHaveSeedsOfTheirOwnThatFollowFromTheRequests) {
  RequestFields fields;
  fields.n = 3;
  fields.seed = 11;
  auto once = BuildRequests(fields, {1}, {}, kLimits);
  auto again = BuildRequests(fields, {1}, {}, kLimits);
  ASSERT_THAT(once, IsOk());
  EXPECT_EQ((*once)[0].sampling.seed, 11u);
  EXPECT_NE((*once)[1].sampling.seed, (*once)[2].sampling.seed);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*once)[i].sampling.seed, (*again)[i].sampling.seed);
}

TEST(BuildRequestsTest, AnEmptyPromptAndOneThatIsTooLongAreRefused) {
  EXPECT_THAT(BuildRequests({}, {}, {}, kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(BuildRequests({}, std::vector<TokenId>(2048, 1), {}, kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2048 tokens")));
}

}  // namespace
}  // namespace sdar
