// SPDX-License-Identifier: Apache-2.0
// What a user may say about scoring given tokens, before the defaults: the same fields over gRPC
// and in JSON lines.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "runtime/request/generation_request.h"
#include "runtime/request/request_fields.h"

namespace sdar {

// Absent fields take the defaults. VisitFields lists them by name, as it does RequestFields.
struct ScoreFields {
  std::optional<int64_t> block_length;
  std::optional<int64_t> top_logprobs;  // the most probable ids to report at every position
  std::optional<int64_t> priority;
};

// Calls visit(name, member) for every field. The names are those of JSON and of the protobuf
// message; each reader of requests goes through this list.
template <typename Visitor>
void VisitFields(ScoreFields& fields, Visitor&& visit) {
  visit("block_length", fields.block_length);
  visit("top_logprobs", fields.top_logprobs);
  visit("priority", fields.priority);
}

// A request that scores `targets` after `prompt`, which may be empty. InvalidArgument names the
// field; ValidateRequest's errors.
absl::StatusOr<GenerationRequest> BuildScoreRequest(const ScoreFields& fields,
                                                    std::vector<TokenId> prompt,
                                                    std::vector<TokenId> targets,
                                                    const RequestDefaults& defaults,
                                                    const RequestLimits& limits);

}  // namespace sdar
