// SPDX-License-Identifier: Apache-2.0
// The requests of a load run: the same for a seed, as long as asked, with prefixes that are shared.
#include "bench/load/load_plan.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr int kCalls = 2000;

sdar::v1::GetModelInfoResponse Model() {
  sdar::v1::GetModelInfoResponse model;
  model.set_vocab_size(1024);
  model.set_mask_token_id(961);
  model.add_eos_token_ids(958);
  model.add_eos_token_ids(956);
  model.set_max_sequence_length(2048);
  return model;
}

LoadOptions OpenLoop() {
  LoadOptions options;
  options.server = "127.0.0.1:1";
  options.rate = 100;
  options.requests = kCalls;
  return options;
}

LoadPlan Plan(const LoadOptions& options) {
  auto plan = LoadPlan::Create(options, Model());
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

TEST(LoadPlanTest, TheSameSeedGivesTheSameCalls) {
  LoadPlan one = Plan(OpenLoop());
  LoadPlan other = Plan(OpenLoop());
  for (int i = 0; i < 50; ++i) {
    const PlannedCall a = one.Next();
    const PlannedCall b = other.Next();
    EXPECT_EQ(a.arrival, b.arrival);
    EXPECT_EQ(a.request.SerializeAsString(), b.request.SerializeAsString());
  }
}

TEST(LoadPlanTest, ArrivalsHaveTheRateAndTheSpreadOfAPoissonProcess) {
  LoadPlan plan = Plan(OpenLoop());
  double last = 0;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kCalls; ++i) {
    const double arrival = absl::ToDoubleSeconds(plan.Next().arrival);
    ASSERT_GE(arrival, last);
    sum += arrival - last;
    squares += (arrival - last) * (arrival - last);
    last = arrival;
  }
  const double mean = sum / kCalls;
  EXPECT_NEAR(mean, 0.01, 0.001);
  EXPECT_NEAR(squares / kCalls - mean * mean, mean * mean, 0.3 * mean * mean);
}

TEST(LoadPlanTest, RequestsAskForExactlyTheDrawnOutputAndNoSpecialTokens) {
  LoadOptions options = OpenLoop();
  options.prompt_tokens = "uniform:2:9";
  options.output_tokens = "fixed:12";
  options.timeout_seconds = 3;
  LoadPlan plan = Plan(options);
  for (int i = 0; i < 200; ++i) {
    const auto request = plan.Next().request;
    EXPECT_EQ(request.stopping().max_tokens(), 12u);
    EXPECT_TRUE(request.stopping().ignore_eos());
    EXPECT_EQ(request.scheduling().timeout_seconds(), 3);
    EXPECT_GE(request.prompt_ids().ids_size(), 2);
    EXPECT_LE(request.prompt_ids().ids_size(), 9);
    for (uint32_t id : request.prompt_ids().ids()) EXPECT_LT(id, 956u);
  }
}

TEST(LoadPlanTest, EveryRequestBeginsWithOneOfThePrefixes) {
  LoadOptions options = OpenLoop();
  options.shared_prefix = 32;
  options.prefix_groups = 3;
  LoadPlan plan = Plan(options);
  std::set<std::vector<uint32_t>> prefixes;
  for (int i = 0; i < 200; ++i) {
    const auto request = plan.Next().request;
    ASSERT_GT(request.prompt_ids().ids_size(), 32);
    const auto& ids = request.prompt_ids().ids();
    prefixes.insert(std::vector<uint32_t>(ids.begin(), ids.begin() + 32));
  }
  EXPECT_EQ(prefixes.size(), 3u);
}

TEST(LoadPlanTest, CancelsTheFractionSomewhereInTheOutput) {
  LoadOptions options = OpenLoop();
  options.cancel_fraction = 0.25;
  options.output_tokens = "fixed:8";
  LoadPlan plan = Plan(options);
  int cancelled = 0;
  for (int i = 0; i < kCalls; ++i) {
    const PlannedCall call = plan.Next();
    if (!call.cancel_after_tokens) continue;
    ++cancelled;
    EXPECT_GE(*call.cancel_after_tokens, 1);
    EXPECT_LE(*call.cancel_after_tokens, 8);
  }
  EXPECT_NEAR(cancelled, kCalls / 4, 100);
}

TEST(LoadPlanTest, RefusesRequestsThatCannotFitTheModel) {
  LoadOptions options = OpenLoop();
  options.shared_prefix = 2000;
  const auto plan = LoadPlan::Create(options, Model());
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("2048"));
}

}  // namespace
}  // namespace sdar
