// SPDX-License-Identifier: Apache-2.0
// What a request says about choosing and revealing tokens (docs/design.md, section 5). Users'
// names.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/ids.h"
#include "common/shared_list.h"

namespace sdar {

enum class RemaskingStrategy {
  kSequential,
  kLowConfidenceStatic,
  kLowConfidenceDynamic,
  kEntropyBounded,
};

// "sequential", "low_confidence_static", "low_confidence_dynamic", "entropy_bounded".
absl::string_view Name(RemaskingStrategy strategy);
absl::StatusOr<RemaskingStrategy> ParseRemaskingStrategy(absl::string_view name);

// How a block is denoised.
struct RemaskingOptions {
  int block_length = 4;
  int denoising_steps = 4;  // 1 .. block_length
  RemaskingStrategy strategy = RemaskingStrategy::kLowConfidenceDynamic;
  double confidence_threshold = 0.9;  // low_confidence_dynamic: reveal what is above it
  double entropy_bound = 0.35;        // entropy_bounded: nats

  // InvalidArgument names the field, its range and what it got.
  absl::Status Validate() const;
};

// How a position's token is chosen.
struct SamplingOptions {
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // 0: no cut
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  SharedList<std::pair<TokenId, float>> logit_bias;  // distinct ids
  uint64_t seed = 0;

  bool greedy() const { return temperature == 0; }
  // Something of the distribution may be cut away before the draw.
  bool cuts() const { return top_k > 0 || top_p < 1 || min_p > 0; }
  bool penalizes() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0;
  }

  // InvalidArgument names the field, its range and what it got; ids must be below `vocab_size`.
  absl::Status Validate(int64_t vocab_size) const;
};

}  // namespace sdar
