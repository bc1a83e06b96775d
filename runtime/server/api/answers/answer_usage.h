// SPDX-License-Identifier: Apache-2.0
// What an answer has cost.
#pragma once

#include <cstdint>
#include <vector>

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Sums over the prompts of a call and their samples. Thread-hostile.
class AnswerUsage {
 public:
  explicit AnswerUsage(const ApiCall& call);

  // Tokens that a sample has got.
  void CountTokens(int64_t count) { completion_tokens_ += count; }
  // A sample of a prompt has ended.
  void AddSample(size_t prompt, const sdar::v1::Usage& usage);
  // A prompt was scored.
  void AddScores(const sdar::v1::Usage& usage);

  int64_t prompt_tokens() const { return prompt_tokens_; }
  int64_t completion_tokens() const { return completion_tokens_; }
  // Of the prompts: those whose K/V came from the prefix cache for one of their samples.
  int64_t cached_tokens() const;
  // Of the runtime's own: {"denoising_steps": .., "forward_passes": ..} added to an object.
  void AddWork(Json& usage) const;
  // In the form of OpenAI's chats and completions.
  Json ToJson() const;

 private:
  int64_t prompt_tokens_ = 0;
  int64_t completion_tokens_ = 0;
  int64_t denoising_steps_ = 0;
  int64_t forward_passes_ = 0;
  int64_t forced_tokens_ = 0;
  std::vector<int64_t> cached_;  // by prompt
};

}  // namespace sdar
