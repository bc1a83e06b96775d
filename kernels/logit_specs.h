// SPDX-License-Identifier: Apache-2.0
// What turns logits into z and how their rows are summarised.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/types/span.h"

#include "common/draw_key.h"
#include "common/ids.h"
#include "common/logit_summary.h"

namespace sdar {

// What happens to one row's logits before and while they are summarised. Spans stay the caller's.
struct LogitRowSpec {
  float inverse_temperature = 1;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  absl::Span<const TokenId>
      repeated;  // distinct ids that the repetition penalty meets: prompt and output
  absl::Span<const std::pair<TokenId, int32_t>>
      output_counts;  // distinct ids and how often the output holds them
  absl::Span<const std::pair<TokenId, float>> bias;  // distinct ids
  absl::Span<const TokenId>
      forbidden;  // may not be chosen, in addition to those forbidden for every row
  // Where not empty, only ids whose bit is set may be chosen: id t is bit t % 64 of word t / 64. As
  // many words as the vocabulary needs.
  absl::Span<const uint64_t> allowed;
  TokenId asked = kNoToken;  // its z is reported
  bool draws = false;        // find the largest z + Gumbel
  DrawKey draw_key;
};

// The row specs of one summary call and what holds for all of them.
struct LogitSpecs {
  int64_t first_id = 0;  // vocabulary id of column 0
  absl::Span<const TokenId> forbidden;
  absl::Span<const LogitRowSpec> rows;
};

}  // namespace sdar
