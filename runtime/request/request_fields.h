// SPDX-License-Identifier: Apache-2.0
// What a user may say about a request, before the defaults: the same fields over gRPC and in JSON
// lines.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/checkpoint/generation_config.h"
#include "runtime/grammar/structure/structure_spec.h"
#include "runtime/request/generation_request.h"

namespace sdar {

namespace grammar {
class StructureCompiler;
}  // namespace grammar

// GenerationRequest::drafts as a user gives it: a number, or where it is text "auto" or "off".
struct DraftCount {
  int64_t value = 0;
  friend bool operator==(DraftCount, DraftCount) = default;
};

// Absent fields take the defaults. VisitFields lists them by name: a new one belongs into both, and
// into proto/sdar/v1/generation.proto.
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
  std::optional<DraftCount> drafts;
  std::optional<grammar::StructureSpec> structure;
};

// Calls visit(name, member) for every field. The names are those of JSON and of the protobuf
// message; each reader of requests goes through this list.
template <typename Fields, typename Visitor>
void VisitFields(Fields& fields, Visitor&& visit) {
  visit("temperature", fields.temperature);
  visit("top_k", fields.top_k);
  visit("top_p", fields.top_p);
  visit("min_p", fields.min_p);
  visit("repetition_penalty", fields.repetition_penalty);
  visit("presence_penalty", fields.presence_penalty);
  visit("frequency_penalty", fields.frequency_penalty);
  visit("logit_bias", fields.logit_bias);
  visit("seed", fields.seed);
  visit("n", fields.n);
  visit("block_length", fields.block_length);
  visit("denoising_steps", fields.denoising_steps);
  visit("remasking_strategy", fields.remasking_strategy);
  visit("confidence_threshold", fields.confidence_threshold);
  visit("entropy_bound", fields.entropy_bound);
  visit("max_tokens", fields.max_tokens);
  visit("min_tokens", fields.min_tokens);
  visit("stop", fields.stop);
  visit("stop_token_ids", fields.stop_token_ids);
  visit("ignore_eos", fields.ignore_eos);
  visit("skip_special_tokens", fields.skip_special_tokens);
  visit("logprobs", fields.logprobs);
  visit("priority", fields.priority);
  visit("drafts", fields.drafts);
  visit("structure", fields.structure);
}

inline constexpr int64_t kMaxSamples = 128;

// Where absent fields come from.
struct RequestDefaults {
  GenerationDefaults generation;  // temperature, top_k and top_p count only when it says do_sample
  int64_t block_length = 4;
  int drafts = 0;
  // Null: no request may have a structure.
  std::shared_ptr<grammar::StructureCompiler> structures = nullptr;
};

// What a request is decoded with that leaves these fields out.
SamplingOptions DefaultSampling(const RequestDefaults& defaults);
RemaskingOptions DefaultRemasking(const RequestDefaults& defaults);

// "auto", "off" or a number of drafts, as GenerationRequest has it. InvalidArgument says what was
// expected; the range is ValidateRequest's.
absl::StatusOr<DraftCount> ParseDrafts(absl::string_view text);

// Compiles the structure of a request that has one, for its own stop ids. InvalidArgument says what
// is wrong with it, or what of it cannot be had exactly. structures: null where there are none.
absl::Status CompileStructure(grammar::StructureCompiler* structures, GenerationRequest& request);

// The samples of one request: `n` of them, with seeds derived from the request's, or from a fresh
// one. InvalidArgument names the field; ValidateRequest's errors.
absl::StatusOr<std::vector<GenerationRequest>> BuildRequests(const RequestFields& fields,
                                                             std::vector<TokenId> prompt,
                                                             const RequestDefaults& defaults,
                                                             const RequestLimits& limits);

}  // namespace sdar
