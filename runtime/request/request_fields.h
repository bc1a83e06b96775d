// SPDX-License-Identifier: Apache-2.0
// What a user may say about a request, before the defaults: the same fields over gRPC and in JSON
// lines.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/checkpoint/generation_config.h"
#include "runtime/request/generation_request.h"

namespace sdar {

// Absent fields take the defaults.
struct RequestFields {
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<double> repetition_penalty, presence_penalty, frequency_penalty;
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::optional<uint64_t> seed;
  std::optional<int64_t> n;
  std::optional<int64_t> block_length, denoising_steps;
  std::optional<RemaskingStrategy> remasking_strategy;
  std::optional<double> confidence_threshold, entropy_bound;
  std::optional<int64_t> max_tokens, min_tokens;
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  std::optional<bool> ignore_eos;
  std::optional<bool> skip_special_tokens;
  std::optional<int64_t>
      logprobs;  // absent: none; k: the tokens' and those of the k most probable ids
  std::optional<int64_t> priority;
  std::optional<int64_t> drafts;  // as in GenerationRequest
};

inline constexpr int64_t kMaxSamples = 128;

// Where absent fields come from.
struct RequestDefaults {
  GenerationDefaults generation;  // temperature, top_k and top_p count only when it says do_sample
  int64_t block_length = 4;
  int drafts = 0;
};

// "auto", "off" or a number of drafts, as GenerationRequest has it. InvalidArgument says what was
// expected; the range is ValidateRequest's.
absl::StatusOr<int64_t> ParseDrafts(absl::string_view text);

// The samples of one request: `n` of them, with seeds derived from the request's, or from a fresh
// one. InvalidArgument names the field; ValidateRequest's errors.
absl::StatusOr<std::vector<GenerationRequest>> BuildRequests(const RequestFields& fields,
                                                             std::vector<TokenId> prompt,
                                                             const RequestDefaults& defaults,
                                                             const RequestLimits& limits);

}  // namespace sdar
