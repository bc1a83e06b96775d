// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/generation_record.h"

#include <iterator>
#include <utility>

namespace sdar {
namespace {

Json UsageJson(const SequenceUsage& usage) {
  return {
      {"prompt_tokens", usage.prompt_tokens},     {"completion_tokens", usage.completion_tokens},
      {"denoising_steps", usage.denoising_steps}, {"forward_passes", usage.forward_passes},
      {"cached_tokens", usage.cached_tokens},     {"preemptions", usage.preemptions},
      {"forced_tokens", usage.forced_tokens}};
}

Json TraceJson(const std::vector<TraceStep>& trace) {
  Json steps = Json::array();
  for (const TraceStep& step : trace) {
    steps.push_back({{"block", step.block},
                     {"step", step.step},
                     {"masked", step.masked},
                     {"confidence", step.confidence},
                     {"candidates", step.candidates},
                     {"revealed", step.revealed},
                     {"tokens", step.tokens}});
  }
  return steps;
}

// One object per token: its logprob, the entropy and step of its reveal, and the alternatives.
Json LogprobsJson(const std::vector<RevealedToken>& tokens) {
  Json list = Json::array();
  for (const RevealedToken& token : tokens) {
    Json top = Json::array();
    for (const TokenLogprob& t : token.top) {
      top.push_back({{"id", t.id}, {"logprob", t.logprob}});
    }
    list.push_back({{"id", token.id},
                    {"logprob", token.logprob},
                    {"entropy", token.entropy},
                    {"step", token.step},
                    {"top", std::move(top)}});
  }
  return list;
}

}  // namespace

void GenerationRecord::Add(SequenceUpdate update) {
  text_ += update.text;
  std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(tokens_));
  std::move(update.trace.begin(), update.trace.end(), std::back_inserter(trace_));
  if (update.end) end_ = std::move(update.end);
}

Json GenerationRecord::ToJson(const Json& id, bool with_logprobs, bool with_trace) const {
  Json ids = Json::array();
  for (const RevealedToken& token : tokens_) ids.push_back(token.id);
  Json stop_reason = nullptr;
  if (end_->stop_token) stop_reason = *end_->stop_token;
  if (end_->stop_string) stop_reason = *end_->stop_string;
  Json record = {{"id", id},
                 {"text", text_},
                 {"token_ids", std::move(ids)},
                 {"finish_reason", end_->reason == FinishReason::kStop ? "stop" : "length"},
                 {"stop_reason", std::move(stop_reason)},
                 {"usage", UsageJson(end_->usage)}};
  if (with_logprobs) record["logprobs"] = LogprobsJson(tokens_);
  if (with_trace) record["trace"] = TraceJson(trace_);
  return record;
}

}  // namespace sdar
