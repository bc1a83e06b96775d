// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/replica_messages.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/steady_time.h"

namespace sdar {
namespace {

using sdar::v1::SequenceNews;
using sdar::v1::SequenceRequest;

void AddAll(absl::Span<const int> from, google::protobuf::RepeatedField<int32_t>& to) {
  to.Add(from.begin(), from.end());
}

std::vector<int> ToVector(const google::protobuf::RepeatedField<int32_t>& from) {
  return {from.begin(), from.end()};
}

// Calls visit(member, getter, setter) for each field of a request that is one number.
template <typename Request, typename Visitor>
void VisitNumbers(Request& request, Visitor&& visit) {
  using M = SequenceRequest;
  auto& sampling = request.sampling;
  visit(sampling.temperature, &M::temperature, &M::set_temperature);
  visit(sampling.top_k, &M::top_k, &M::set_top_k);
  visit(sampling.top_p, &M::top_p, &M::set_top_p);
  visit(sampling.min_p, &M::min_p, &M::set_min_p);
  visit(sampling.repetition_penalty, &M::repetition_penalty, &M::set_repetition_penalty);
  visit(sampling.presence_penalty, &M::presence_penalty, &M::set_presence_penalty);
  visit(sampling.frequency_penalty, &M::frequency_penalty, &M::set_frequency_penalty);
  visit(sampling.seed, &M::seed, &M::set_seed);
  auto& remasking = request.remasking;
  visit(remasking.block_length, &M::block_length, &M::set_block_length);
  visit(remasking.denoising_steps, &M::denoising_steps, &M::set_denoising_steps);
  visit(remasking.strategy, &M::remasking_strategy, &M::set_remasking_strategy);
  visit(remasking.confidence_threshold, &M::confidence_threshold, &M::set_confidence_threshold);
  visit(remasking.entropy_bound, &M::entropy_bound, &M::set_entropy_bound);
  visit(request.stopping.max_tokens, &M::max_tokens, &M::set_max_tokens);
  visit(request.stopping.min_tokens, &M::min_tokens, &M::set_min_tokens);
  visit(request.skip_special_tokens, &M::skip_special_tokens, &M::set_skip_special_tokens);
  visit(request.top_logprobs, &M::top_logprobs, &M::set_top_logprobs);
  visit(request.trace, &M::trace, &M::set_trace);
  visit(request.provisional, &M::provisional, &M::set_provisional);
  visit(request.priority, &M::priority, &M::set_priority);
  visit(request.drafts, &M::drafts, &M::set_drafts);
}

void FillBiases(absl::Span<const std::pair<TokenId, float>> biases, SequenceRequest& message) {
  for (const auto& [id, value] : biases) {
    SequenceRequest::Bias& bias = *message.add_logit_bias();
    bias.set_id(id);
    bias.set_bias(value);
  }
}

std::vector<std::pair<TokenId, float>> BiasesOf(const SequenceRequest& message) {
  std::vector<std::pair<TokenId, float>> biases;
  for (const SequenceRequest::Bias& bias : message.logit_bias()) {
    biases.emplace_back(bias.id(), bias.bias());
  }
  return biases;
}

void FillToken(const RevealedToken& token, SequenceNews::Token& message) {
  message.set_id(token.id);
  message.set_logprob(token.logprob);
  message.set_entropy(token.entropy);
  message.set_step(token.step);
  message.set_greedy(token.greedy);
  for (const TokenLogprob& alternative : token.top) {
    SequenceNews::Logprob& top = *message.add_top();
    top.set_id(alternative.id);
    top.set_logprob(alternative.logprob);
  }
}

RevealedToken TokenOf(const SequenceNews::Token& message) {
  RevealedToken token{message.id(), message.logprob(), message.entropy(), message.step(),
                      {},           message.greedy()};
  for (const SequenceNews::Logprob& top : message.top()) {
    token.top.push_back({top.id(), top.logprob()});
  }
  return token;
}

void FillTrace(const TraceStep& step, SequenceNews::Trace& message) {
  message.set_block(step.block);
  message.set_step(step.step);
  AddAll(step.masked, *message.mutable_masked());
  message.mutable_confidence()->Add(step.confidence.begin(), step.confidence.end());
  AddAll(step.candidates, *message.mutable_candidates());
  AddAll(step.revealed, *message.mutable_revealed());
  AddAll(step.tokens, *message.mutable_tokens());
}

TraceStep TraceOf(const SequenceNews::Trace& message) {
  TraceStep step;
  step.block = message.block();
  step.step = message.step();
  step.masked = ToVector(message.masked());
  step.confidence.assign(message.confidence().begin(), message.confidence().end());
  step.candidates = ToVector(message.candidates());
  step.revealed = ToVector(message.revealed());
  step.tokens = ToVector(message.tokens());
  return step;
}

void FillProvisional(const ProvisionalBlock& block, SequenceNews::Provisional& message) {
  message.set_block(block.block);
  message.set_step(block.step);
  for (const ProvisionalBlock::Position& from : block.positions) {
    SequenceNews::Position& position = *message.add_positions();
    position.set_masked(from.masked);
    position.set_given(from.given);
    position.set_id(from.id);
    position.set_confidence(from.confidence);
  }
}

ProvisionalBlock ProvisionalOf(const SequenceNews::Provisional& message) {
  ProvisionalBlock block;
  block.block = message.block();
  block.step = message.step();
  for (const SequenceNews::Position& from : message.positions()) {
    block.positions.push_back({from.masked(), from.given(), from.id(), from.confidence()});
  }
  return block;
}

void FillEnd(const SequenceEnd& end, SteadyTime now, SequenceNews::End& message) {
  *message.mutable_status() = ToMessage(end.status);
  message.set_reason(static_cast<int32_t>(end.reason));
  if (end.stop_token) message.set_stop_token(*end.stop_token);
  if (end.stop_string) message.set_stop_string(*end.stop_string);
  message.set_prompt_tokens(end.usage.prompt_tokens);
  message.set_completion_tokens(end.usage.completion_tokens);
  message.set_denoising_steps(end.usage.denoising_steps);
  message.set_forward_passes(end.usage.forward_passes);
  message.set_cached_tokens(end.usage.cached_tokens);
  message.set_preemptions(end.usage.preemptions);
  message.set_forced_tokens(end.usage.forced_tokens);
  if (end.usage.started != SteadyTime::InfiniteFuture()) {
    message.set_started_age_nanos(absl::ToInt64Nanoseconds(now - end.usage.started));
  }
  if (end.usage.first_step != SteadyTime::InfiniteFuture()) {
    message.set_first_step_age_nanos(absl::ToInt64Nanoseconds(now - end.usage.first_step));
  }
}

SequenceEnd EndOf(const SequenceNews::End& message, SteadyTime now) {
  SequenceEnd end;
  end.status = FromMessage(message.status());
  end.reason = static_cast<FinishReason>(message.reason());
  if (message.has_stop_token()) end.stop_token = message.stop_token();
  if (message.has_stop_string()) end.stop_string = message.stop_string();
  end.usage.prompt_tokens = message.prompt_tokens();
  end.usage.completion_tokens = message.completion_tokens();
  end.usage.denoising_steps = message.denoising_steps();
  end.usage.forward_passes = message.forward_passes();
  end.usage.cached_tokens = message.cached_tokens();
  end.usage.preemptions = message.preemptions();
  end.usage.forced_tokens = message.forced_tokens();
  if (message.has_started_age_nanos()) {
    end.usage.started = now - absl::Nanoseconds(message.started_age_nanos());
  }
  if (message.has_first_step_age_nanos()) {
    end.usage.first_step = now - absl::Nanoseconds(message.first_step_age_nanos());
  }
  return end;
}

void FillCounts(const CountHistogram& counts, sdar::v1::CountHistogram& message) {
  message.mutable_counts()->Add(counts.counts.begin(), counts.counts.end());
  message.set_sum(counts.sum);
}

CountHistogram CountsOf(const sdar::v1::CountHistogram& message) {
  CountHistogram counts;
  const size_t size = std::min(counts.counts.size(), static_cast<size_t>(message.counts_size()));
  std::copy_n(message.counts().begin(), size, counts.counts.begin());
  counts.sum = message.sum();
  return counts;
}

}  // namespace

SequenceRequest ToMessage(const GenerationRequest& request, SteadyTime now) {
  SequenceRequest message;
  VisitNumbers(request, [&message](const auto& member, auto getter, auto setter) {
    using Field = decltype((message.*getter)());
    (message.*setter)(static_cast<Field>(member));
  });
  AddAll(request.prompt, *message.mutable_prompt());
  AddAll(request.targets, *message.mutable_targets());
  FillBiases(request.sampling.logit_bias, message);
  for (const std::string& stop : request.stopping.stop) message.add_stop(stop);
  AddAll(request.stopping.stop_ids, *message.mutable_stop_ids());
  message.set_structure(request.structure);
  if (request.deadline != SteadyTime::InfiniteFuture()) {
    message.set_timeout_nanos(absl::ToInt64Nanoseconds(request.deadline - now));
  }
  return message;
}

GenerationRequest FromMessage(const SequenceRequest& message, SteadyTime now) {
  GenerationRequest request;
  VisitNumbers(request, [&message](auto& member, auto getter, auto) {
    member = static_cast<std::decay_t<decltype(member)>>((message.*getter)());
  });
  request.prompt = ToVector(message.prompt());
  request.targets = ToVector(message.targets());
  request.sampling.logit_bias = BiasesOf(message);
  request.stopping.stop.assign(message.stop().begin(), message.stop().end());
  request.stopping.stop_ids = ToVector(message.stop_ids());
  request.structure = message.structure();
  if (message.has_timeout_nanos()) {
    request.deadline = now + absl::Nanoseconds(message.timeout_nanos());
  }
  return request;
}

SequenceNews ToMessage(const SequenceUpdate& update, SteadyTime now) {
  SequenceNews message;
  message.set_text(update.text);
  for (const RevealedToken& token : update.tokens) FillToken(token, *message.add_tokens());
  for (const TraceStep& step : update.trace) FillTrace(step, *message.add_trace());
  if (update.provisional) FillProvisional(*update.provisional, *message.mutable_provisional());
  if (update.end) FillEnd(*update.end, now, *message.mutable_end());
  return message;
}

SequenceUpdate FromMessage(const SequenceNews& message, SteadyTime now) {
  SequenceUpdate update;
  update.text = message.text();
  for (const SequenceNews::Token& token : message.tokens()) {
    update.tokens.push_back(TokenOf(token));
  }
  for (const SequenceNews::Trace& step : message.trace()) update.trace.push_back(TraceOf(step));
  if (message.has_provisional()) update.provisional = ProvisionalOf(message.provisional());
  if (message.has_end()) update.end = EndOf(message.end(), now);
  return update;
}

sdar::v1::ReplicaStatus ToMessage(const EngineStatus& status, SteadyTime now) {
  sdar::v1::ReplicaStatus message;
  message.set_running(status.running);
  message.set_waiting(status.waiting);
  message.set_free_slots(status.free_slots);
  message.set_total_slots(status.total_slots);
  message.set_free_pages(status.free_pages);
  message.set_total_pages(status.total_pages);
  message.set_finished_steps(status.finished_steps);
  if (status.last_step != SteadyTime::InfinitePast()) {
    message.set_last_step_age_nanos(absl::ToInt64Nanoseconds(now - status.last_step));
  }
  message.set_step_age_nanos(absl::ToInt64Nanoseconds(status.step_age));
  message.set_cached_pages(status.cached_pages);
  message.set_prefix_cache_queried_tokens(status.prefix_cache_queried_tokens);
  message.set_prefix_cache_hit_tokens(status.prefix_cache_hit_tokens);
  message.set_preemptions(status.preemptions);
  message.set_forward_passes(status.steps.forward_passes);
  message.set_rows(status.steps.rows);
  message.set_drafts(status.steps.drafts);
  message.set_draft_rows(status.steps.draft_rows);
  message.set_accepted_drafts(status.steps.accepted_drafts);
  FillCounts(status.steps.steps_per_block, *message.mutable_steps_per_block());
  FillCounts(status.steps.reveals_per_step, *message.mutable_reveals_per_step());
  return message;
}

EngineStatus FromMessage(const sdar::v1::ReplicaStatus& message, SteadyTime now) {
  EngineStatus status;
  status.running = static_cast<int>(message.running());
  status.waiting = static_cast<int>(message.waiting());
  status.free_slots = static_cast<int>(message.free_slots());
  status.total_slots = static_cast<int>(message.total_slots());
  status.free_pages = message.free_pages();
  status.total_pages = message.total_pages();
  status.finished_steps = message.finished_steps();
  if (message.has_last_step_age_nanos()) {
    status.last_step = now - absl::Nanoseconds(message.last_step_age_nanos());
  }
  status.step_age = absl::Nanoseconds(message.step_age_nanos());
  status.cached_pages = message.cached_pages();
  status.prefix_cache_queried_tokens = message.prefix_cache_queried_tokens();
  status.prefix_cache_hit_tokens = message.prefix_cache_hit_tokens();
  status.preemptions = message.preemptions();
  status.steps.forward_passes = message.forward_passes();
  status.steps.rows = message.rows();
  status.steps.drafts = message.drafts();
  status.steps.draft_rows = message.draft_rows();
  status.steps.accepted_drafts = message.accepted_drafts();
  status.steps.steps_per_block = CountsOf(message.steps_per_block());
  status.steps.reveals_per_step = CountsOf(message.reveals_per_step());
  return status;
}

sdar::v1::EndStatus ToMessage(const absl::Status& status) {
  sdar::v1::EndStatus message;
  message.set_code(static_cast<int32_t>(status.code()));
  message.set_message(std::string(status.message()));
  return message;
}

absl::Status FromMessage(const sdar::v1::EndStatus& message) {
  return absl::Status(static_cast<absl::StatusCode>(message.code()), message.message());
}

}  // namespace sdar
