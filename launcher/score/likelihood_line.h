// SPDX-License-Identifier: Apache-2.0
// One line of sdar-score --likelihood: what it asks, and the record that answers it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/request/score_fields.h"

namespace sdar {

struct LikelihoodLine {
  std::vector<TokenId> prompt;
  std::vector<TokenId> targets;  // at least one
  ScoreFields fields;
};

// Reads {"id", "ids", "prompt_length", any field of ScoreFields}. The ids from prompt_length on are
// the targets; it is 0 where it is absent. InvalidArgument names the field, what was expected and
// what was there; an unknown field is one. `id` is set as soon as it is known, also when the rest
// is wrong, and is the line's number where the line gives none.
absl::StatusOr<LikelihoodLine> ParseLikelihoodLine(absl::string_view line, int line_number,
                                                   Json& id);

// {"id", "logprobs", "sum", "greedy"}, with one value per target, and "top" where one has
// alternatives.
Json LikelihoodRecord(const Json& id, const std::vector<RevealedToken>& targets);

}  // namespace sdar
