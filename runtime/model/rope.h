// SPDX-License-Identifier: Apache-2.0
// The angles by which positions rotate heads, from what a model's config says.
#pragma once

#include <vector>

#include "runtime/checkpoint/model_config.h"

namespace sdar {

struct RopeTable {
  std::vector<float> frequencies;  // [head_dim / 2] radians per position, falling
  float scale = 1;                 // of cosines and sines
};

// As transformers computes it in float32 (modeling_rope_utils.py). Yarn is arXiv 2309.00071:
// dimensions that turn often in the trained length keep their frequency, those that turn seldom are
// slowed by the factor, and a ramp lies between. Pure.
RopeTable MakeRopeTable(const ModelConfig& config);

}  // namespace sdar
