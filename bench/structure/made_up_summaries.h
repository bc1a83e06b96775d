// SPDX-License-Identifier: Apache-2.0
// Summaries of logits as a model might give them that has an answer in mind.
#pragma once

#include <cstdint>
#include <random>

#include "common/draw_key.h"
#include "common/logit_summary.h"
#include "runtime/grammar/tokens/token_grammar.h"

namespace sdar {

// `wanted` is the likeliest with four parts in five of the probability; kMaxCandidates - 1 ids
// below `vocab_size` share what is left but a twentieth, which lies outside. Under a mask only what
// it has is a candidate, and `wanted` may not be. With a key one of the candidates is drawn.
LogitSummary MakeUpSummary(TokenId wanted, int64_t vocab_size, const grammar::TokenMask* mask,
                           const DrawKey* key, std::mt19937& random);

}  // namespace sdar
