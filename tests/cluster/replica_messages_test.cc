// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/replica_messages.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/member_count.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// Numbers that a decimal or a float would not carry.
constexpr double kThird = 1.0 / 3.0;
constexpr double kTiny = std::numeric_limits<double>::denorm_min();

// The same moment by the sender's clock and by the receiver's, which have nothing in common.
const SteadyTime kSent = SteadyTime() + absl::Nanoseconds(1764000000123456789);
const SteadyTime kReceived = SteadyTime() + absl::Seconds(5);

// Through the bytes of the wire and back.
template <typename Value>
Value RoundTrip(const Value& value) {
  auto message = ToMessage(value, kSent);
  const std::string bytes = message.SerializeAsString();
  message.Clear();
  EXPECT_TRUE(message.ParseFromString(bytes));
  return FromMessage(message, kReceived);
}

GenerationRequest FullRequest() {
  GenerationRequest request;
  request.prompt = {0, 7, 151935, 3};
  request.targets = {9, 151935};
  request.sampling = {kThird, 17, 0.1, kTiny, 1 + kThird, -kThird, 0.7, {}, ~uint64_t{0}};
  request.sampling.logit_bias = {{5, 0.1f}, {6, -std::numeric_limits<float>::infinity()}};
  request.remasking = {8, 3, RemaskingStrategy::kEntropyBounded, 2 * kThird, kThird / 7};
  request.stopping = {100, 3, {"stop", std::string("\xff\x00x", 3)}, {1, 2}};
  request.structure = "{\"kind\":0}";
  request.skip_special_tokens = false;
  request.top_logprobs = 9;
  request.trace = true;
  request.provisional = true;
  request.priority = -100;
  request.drafts = kAutomaticDrafts;
  request.deadline = kSent + absl::Nanoseconds(1234567891234);
  return request;
}

TEST(ReplicaMessagesTest, ARequestArrivesAsItWas) {
  const GenerationRequest sent = FullRequest();
  const GenerationRequest got = RoundTrip(sent);
  EXPECT_EQ(got.prompt, sent.prompt);
  EXPECT_EQ(got.targets, sent.targets);
  EXPECT_EQ(got.sampling.temperature, sent.sampling.temperature);
  EXPECT_EQ(got.sampling.top_k, sent.sampling.top_k);
  EXPECT_EQ(got.sampling.top_p, sent.sampling.top_p);
  EXPECT_EQ(got.sampling.min_p, sent.sampling.min_p);
  EXPECT_EQ(got.sampling.repetition_penalty, sent.sampling.repetition_penalty);
  EXPECT_EQ(got.sampling.presence_penalty, sent.sampling.presence_penalty);
  EXPECT_EQ(got.sampling.frequency_penalty, sent.sampling.frequency_penalty);
  EXPECT_EQ(got.sampling.logit_bias, sent.sampling.logit_bias);
  EXPECT_EQ(got.sampling.seed, sent.sampling.seed);
  EXPECT_EQ(got.remasking.block_length, sent.remasking.block_length);
  EXPECT_EQ(got.remasking.denoising_steps, sent.remasking.denoising_steps);
  EXPECT_EQ(got.remasking.strategy, sent.remasking.strategy);
  EXPECT_EQ(got.remasking.confidence_threshold, sent.remasking.confidence_threshold);
  EXPECT_EQ(got.remasking.entropy_bound, sent.remasking.entropy_bound);
  EXPECT_EQ(got.stopping.max_tokens, sent.stopping.max_tokens);
  EXPECT_EQ(got.stopping.min_tokens, sent.stopping.min_tokens);
  EXPECT_EQ(got.stopping.stop, sent.stopping.stop);
  EXPECT_EQ(got.stopping.stop_ids, sent.stopping.stop_ids);
  EXPECT_EQ(got.structure, sent.structure);
  EXPECT_EQ(got.skip_special_tokens, sent.skip_special_tokens);
  EXPECT_EQ(got.top_logprobs, sent.top_logprobs);
  EXPECT_EQ(got.trace, sent.trace);
  EXPECT_EQ(got.provisional, sent.provisional);
  EXPECT_EQ(got.priority, sent.priority);
  EXPECT_EQ(got.drafts, sent.drafts);
  EXPECT_EQ(got.deadline, kReceived + absl::Nanoseconds(1234567891234));
}

TEST(ReplicaMessagesTest, EveryMemberOfARequestHasAFieldOfTheMessage) {
  // Sampling, remasking and stopping are no fields, their members are; nor is the grammar, which
  // is made of the structure.
  constexpr size_t kParts = 4;
  constexpr size_t kMembers = MemberCount<GenerationRequest>() - kParts +
                              MemberCount<SamplingOptions>() + MemberCount<RemaskingOptions>() +
                              MemberCount<StoppingOptions>();
  GenerationRequest request = FullRequest();
  request.skip_special_tokens = true;  // a field that is false counts as absent
  const sdar::v1::SequenceRequest message = ToMessage(request, kSent);
  std::vector<const google::protobuf::FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  EXPECT_EQ(set.size(), kMembers);
  EXPECT_EQ(message.GetDescriptor()->field_count(), static_cast<int>(kMembers));
}

TEST(ReplicaMessagesTest, WhatARequestDoesNotSetStaysUnset) {
  const GenerationRequest got = RoundTrip(GenerationRequest());
  EXPECT_EQ(got.deadline, SteadyTime::InfiniteFuture());
  EXPECT_TRUE(got.prompt.empty());
  EXPECT_TRUE(got.skip_special_tokens);
  EXPECT_TRUE(got.sampling.greedy());
  EXPECT_EQ(got.sampling.top_p, 1);
}

TEST(ReplicaMessagesTest, AnUpdateArrivesAsItWas) {
  SequenceUpdate sent;
  sent.text = std::string("a\0\xc3", 3);
  sent.tokens = {{5, -kThird, kTiny, 2, {{5, -kThird}, {kNoToken, -kThird / 3}}},
                 {6, 0, 0, 1, {}, true}};
  sent.trace = {{3, 1, {0, 2}, {kThird, kTiny}, {8, 9}, {2}, {9}}};
  sent.provisional = ProvisionalBlock{4, 2, {{true, false, 11, kThird}, {false, true, 12, 1}}};
  const SequenceUpdate got = RoundTrip(sent);
  EXPECT_EQ(got.text, sent.text);
  ASSERT_EQ(got.tokens.size(), 2u);
  EXPECT_EQ(got.tokens[0].id, 5);
  EXPECT_EQ(got.tokens[0].logprob, -kThird);
  EXPECT_EQ(got.tokens[0].entropy, kTiny);
  EXPECT_EQ(got.tokens[0].step, 2);
  EXPECT_FALSE(got.tokens[0].greedy);
  EXPECT_TRUE(got.tokens[1].greedy);
  ASSERT_EQ(got.tokens[0].top.size(), 2u);
  EXPECT_EQ(got.tokens[0].top[1].id, kNoToken);
  EXPECT_EQ(got.tokens[0].top[1].logprob, -kThird / 3);
  ASSERT_EQ(got.trace.size(), 1u);
  EXPECT_EQ(got.trace[0].block, 3);
  EXPECT_EQ(got.trace[0].step, 1);
  EXPECT_EQ(got.trace[0].masked, sent.trace[0].masked);
  EXPECT_EQ(got.trace[0].confidence, sent.trace[0].confidence);
  EXPECT_EQ(got.trace[0].candidates, sent.trace[0].candidates);
  EXPECT_EQ(got.trace[0].revealed, sent.trace[0].revealed);
  EXPECT_EQ(got.trace[0].tokens, sent.trace[0].tokens);
  ASSERT_TRUE(got.provisional.has_value());
  EXPECT_EQ(got.provisional->block, 4);
  EXPECT_EQ(got.provisional->step, 2);
  ASSERT_EQ(got.provisional->positions.size(), 2u);
  EXPECT_TRUE(got.provisional->positions[0].masked);
  EXPECT_EQ(got.provisional->positions[0].confidence, kThird);
  EXPECT_TRUE(got.provisional->positions[1].given);
  EXPECT_EQ(got.provisional->positions[1].id, 12);
  EXPECT_FALSE(got.end.has_value());
}

TEST(ReplicaMessagesTest, AnEndArrivesAsItWas) {
  SequenceUpdate sent;
  sent.end = SequenceEnd{absl::DeadlineExceededError("late"),
                         FinishReason::kStop,
                         0,
                         "",
                         {1, 2, 3, 4, 5, 7, 6, kSent - absl::Nanoseconds(7)}};
  const SequenceUpdate got = RoundTrip(sent);
  ASSERT_TRUE(got.end.has_value());
  EXPECT_THAT(got.end->status, StatusIs(absl::StatusCode::kDeadlineExceeded, "late"));
  EXPECT_EQ(got.end->reason, FinishReason::kStop);
  EXPECT_EQ(got.end->stop_token, 0);
  EXPECT_EQ(got.end->stop_string, "");
  EXPECT_EQ(got.end->usage.prompt_tokens, 1);
  EXPECT_EQ(got.end->usage.completion_tokens, 2);
  EXPECT_EQ(got.end->usage.denoising_steps, 3);
  EXPECT_EQ(got.end->usage.forward_passes, 4);
  EXPECT_EQ(got.end->usage.cached_tokens, 5);
  EXPECT_EQ(got.end->usage.forced_tokens, 7);
  EXPECT_EQ(got.end->usage.preemptions, 6);
  EXPECT_EQ(got.end->usage.started, kReceived - absl::Nanoseconds(7));
  EXPECT_FALSE(got.provisional.has_value());
}

TEST(ReplicaMessagesTest, AStatusArrivesAsItWas) {
  EngineStatus sent;
  EXPECT_EQ(RoundTrip(sent).last_step, SteadyTime::InfinitePast());
  sent = {1, 2, 3, 4, 5, 6, 7, kSent - absl::Seconds(77), absl::Nanoseconds(8), 9, 10, 11, 12, {}};
  sent.steps.forward_passes = 13;
  sent.steps.rows = 14;
  sent.steps.drafts = 15;
  sent.steps.draft_rows = 16;
  sent.steps.accepted_drafts = 17;
  sent.steps.steps_per_block.Add(5);
  sent.steps.reveals_per_step.Add(1000);
  const EngineStatus got = RoundTrip(sent);
  EXPECT_EQ(got.running, 1);
  EXPECT_EQ(got.waiting, 2);
  EXPECT_EQ(got.free_slots, 3);
  EXPECT_EQ(got.total_slots, 4);
  EXPECT_EQ(got.free_pages, 5);
  EXPECT_EQ(got.total_pages, 6);
  EXPECT_EQ(got.finished_steps, 7u);
  EXPECT_EQ(got.last_step, kReceived - absl::Seconds(77));
  EXPECT_EQ(got.step_age, sent.step_age);
  EXPECT_EQ(got.cached_pages, 9);
  EXPECT_EQ(got.prefix_cache_queried_tokens, 10u);
  EXPECT_EQ(got.prefix_cache_hit_tokens, 11u);
  EXPECT_EQ(got.preemptions, 12u);
  EXPECT_EQ(got.steps.forward_passes, 13u);
  EXPECT_EQ(got.steps.rows, 14u);
  EXPECT_EQ(got.steps.drafts, 15u);
  EXPECT_EQ(got.steps.draft_rows, 16u);
  EXPECT_EQ(got.steps.accepted_drafts, 17u);
  EXPECT_EQ(got.steps.steps_per_block.counts, sent.steps.steps_per_block.counts);
  EXPECT_EQ(got.steps.steps_per_block.sum, 5u);
  EXPECT_EQ(got.steps.reveals_per_step.counts, sent.steps.reveals_per_step.counts);
  EXPECT_EQ(got.steps.reveals_per_step.sum, 1000u);
}

}  // namespace
}  // namespace sdar
