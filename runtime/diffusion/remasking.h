// SPDX-License-Identifier: Apache-2.0
// Which masked positions of a block are revealed in a step: the four remasking strategies. Pure;
// any thread.
#pragma once

#include <vector>

#include "absl/types/span.h"

#include "runtime/diffusion/decoding_options.h"

namespace sdar {

// A masked position of the block with what its choice was worth (Choice, rounded for comparison);
// not NaN.
struct MaskedPosition {
  int position = 0;  // within the block
  double confidence = 0;
  double entropy = 0;
};

// Reveals due in step `step` of `options.denoising_steps`: block_length spread evenly, one more in
// the first steps.
int RevealQuota(const RemaskingOptions& options, int step);

// The positions to reveal in this step, ascending. At least one, only masked ones; in the last step
// all of them. Requires: `masked` is not empty and ascending by position; 0 <= step <
// denoising_steps.
std::vector<int> SelectReveals(const RemaskingOptions& options, int step,
                               absl::Span<const MaskedPosition> masked);

}  // namespace sdar
