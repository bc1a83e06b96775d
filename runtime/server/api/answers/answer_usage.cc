// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/answer_usage.h"

#include <algorithm>
#include <numeric>

namespace sdar {

AnswerUsage::AnswerUsage(const ApiCall& call) : cached_(call.prompts.size()) {
  for (const auto& prompt : call.prompts) prompt_tokens_ += static_cast<int64_t>(prompt.size());
}

void AnswerUsage::AddSample(size_t prompt, const sdar::v1::Usage& usage) {
  cached_[prompt] = std::max<int64_t>(cached_[prompt], usage.cached_tokens());
  denoising_steps_ += usage.denoising_steps();
  forward_passes_ += usage.forward_passes();
  forced_tokens_ += usage.forced_tokens();
}

void AnswerUsage::AddScores(const sdar::v1::Usage& usage) {
  denoising_steps_ += usage.denoising_steps();
  forward_passes_ += usage.forward_passes();
}

int64_t AnswerUsage::cached_tokens() const {
  return std::accumulate(cached_.begin(), cached_.end(), int64_t{0});
}

void AnswerUsage::AddWork(Json& usage) const {
  usage["denoising_steps"] = denoising_steps_;
  usage["forward_passes"] = forward_passes_;
  if (forced_tokens_ > 0) usage["forced_tokens"] = forced_tokens_;
}

Json AnswerUsage::ToJson() const {
  Json usage = {{"prompt_tokens", prompt_tokens_},
                {"completion_tokens", completion_tokens_},
                {"total_tokens", prompt_tokens_ + completion_tokens_},
                {"prompt_tokens_details", {{"cached_tokens", cached_tokens()}}}};
  AddWork(usage);
  return usage;
}

}  // namespace sdar
