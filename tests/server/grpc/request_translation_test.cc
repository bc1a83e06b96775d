// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/request_translation.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const TextCodec& Tiny() {
  static const TextCodec codec =
      *TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return codec;
}

constexpr RequestLimits kLimits = {1024, 2048, 64, 100, 512};

TEST(RequestTranslationTest, AbsentFieldsStayAbsent) {
  auto fields = TranslateFields({});
  ASSERT_THAT(fields, IsOk());
  EXPECT_FALSE(fields->temperature.has_value());
  EXPECT_FALSE(fields->seed.has_value());
  EXPECT_FALSE(fields->remasking_strategy.has_value());
  EXPECT_FALSE(fields->logprobs.has_value());
}

TEST(RequestTranslationTest, ZeroesThatAreSentAreKept) {
  sdar::v1::GenerateRequest request;
  request.mutable_sampling()->set_temperature(0);
  request.mutable_sampling()->set_top_k(0);
  request.mutable_sampling()->set_seed(0);
  request.mutable_output()->set_logprobs(0);
  auto fields = TranslateFields(request);
  ASSERT_THAT(fields, IsOk());
  EXPECT_EQ(fields->temperature, 0);
  EXPECT_EQ(fields->top_k, 0);
  EXPECT_EQ(fields->seed, 0u);
  EXPECT_EQ(fields->logprobs, 0);
}

TEST(RequestTranslationTest, PrioritiesMayBeNegativeAndAreBounded) {
  sdar::v1::GenerateRequest request;
  request.mutable_scheduling()->set_priority(-100);
  request.mutable_scheduling()->set_drafts(5);
  auto fields = TranslateFields(request);
  ASSERT_THAT(fields, IsOk());
  fields->max_tokens = 10;
  const auto samples = BuildRequests(*fields, {1}, {}, kLimits);
  ASSERT_THAT(samples, IsOk());
  EXPECT_EQ((*samples)[0].priority, -100);
  EXPECT_EQ((*samples)[0].drafts, 5);
  fields->priority = 101;
  EXPECT_THAT(BuildRequests(*fields, {1}, {}, kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("priority")));
}

TEST(RequestTranslationTest, TheDeadlineIsTheSoonerOfTheCallsAndTheTimeout) {
  const SteadyTime now = SteadyTime() + absl::Seconds(1000);
  const SteadyTime call = now + absl::Seconds(10);
  sdar::v1::GenerateRequest request;
  EXPECT_EQ(*TranslateDeadline(request, call, now), call);
  request.mutable_scheduling()->set_timeout_seconds(2.5);
  EXPECT_EQ(*TranslateDeadline(request, call, now), now + absl::Seconds(2.5));
  request.mutable_scheduling()->set_timeout_seconds(20);
  EXPECT_EQ(*TranslateDeadline(request, call, now), call);
  request.mutable_scheduling()->set_timeout_seconds(0);
  EXPECT_THAT(TranslateDeadline(request, call, now),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("timeout_seconds")));
}

TEST(RequestTranslationTest, StrategiesKeepTheirNames) {
  for (int i = 1; i <= 4; ++i) {
    sdar::v1::GenerateRequest request;
    const auto strategy = static_cast<sdar::v1::RemaskingStrategy>(i);
    request.mutable_sampling()->set_remasking_strategy(strategy);
    std::string upper = sdar::v1::RemaskingStrategy_Name(strategy);
    for (char& c : upper) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(Name(*TranslateFields(request)->remasking_strategy), upper);
  }
}

TEST(RequestTranslationTest, RefusesAStrategyFromTheFuture) {
  sdar::v1::GenerateRequest request;
  request.mutable_sampling()->set_remasking_strategy(static_cast<sdar::v1::RemaskingStrategy>(9));
  EXPECT_THAT(TranslateFields(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("remasking_strategy")));
}

TEST(RequestTranslationTest, ToolCallsThatAreNotJsonAreNamed) {
  sdar::v1::Chat chat;
  chat.add_messages()->set_role("assistant");
  chat.mutable_messages(0)->set_tool_calls_json("{");
  EXPECT_THAT(TranslateChat(chat),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tool_calls_json")));
}

TEST(RequestTranslationTest, ARequestWithoutInputIsRefused) {
  EXPECT_THAT(TranslatePrompt({}, Tiny()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt_ids")));
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

TEST(RequestTranslationTest, TheJsonTextsOfAChatShareOneLimitOfValues) {
  sdar::v1::Chat chat;
  std::string values = "[0";
  for (int i = 0; i < 300000; ++i) values += ",0";
  for (int i = 0; i < 3; ++i) {
    sdar::v1::ChatMessage* message = chat.add_messages();
    message->set_role("assistant");
    message->set_tool_calls_json(values + "]");
  }
  EXPECT_THAT(TranslateChat(chat), IsOk());
  chat.set_tools_json(values + "]");
  EXPECT_THAT(TranslateChat(chat),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tools_json: expected at most 99994 values")));
}

}  // namespace
}  // namespace sdar
