// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/score_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/status_macros.h"

namespace sdar {
namespace {

// Within an int. What is out of its range stays out of every range that ValidateRequest takes.
int Clamp(int64_t value) {
  constexpr int64_t kFar = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp(value, -kFar, kFar));
}

}  // namespace

absl::StatusOr<GenerationRequest> BuildScoreRequest(const ScoreFields& fields,
                                                    std::vector<TokenId> prompt,
                                                    std::vector<TokenId> targets,
                                                    const RequestDefaults& defaults,
                                                    const RequestLimits& limits) {
  if (targets.empty()) return absl::InvalidArgumentError("continuation: it is empty");
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.targets = std::move(targets);
  // By definition: what this strategy pays when it reveals one position a step.
  request.remasking.strategy = RemaskingStrategy::kSequential;
  request.remasking.block_length = Clamp(fields.block_length.value_or(defaults.block_length));
  request.remasking.denoising_steps = request.remasking.block_length;
  request.top_logprobs = Clamp(fields.top_logprobs.value_or(0));
  request.priority = Clamp(fields.priority.value_or(0));
  SDAR_RETURN_IF_ERROR(ValidateRequest(request, limits));
  return request;
}

}  // namespace sdar
