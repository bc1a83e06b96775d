// SPDX-License-Identifier: Apache-2.0
// How a config.json says that positions rotate heads: the base, and how it is stretched.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/checkpoint/json_fields.h"

namespace sdar {

enum class RopeType {
  kDefault,  // nothing is stretched
  kLinear,
  kYarn,
};

// The name config.json uses: "default", "linear" or "yarn".
absl::string_view Name(RopeType type);

// A stretch of positions, with the names of transformers' modeling_rope_utils.py. Members that the
// type does not use keep their defaults.
struct RopeScaling {
  RopeType type = RopeType::kDefault;
  double factor = 1.0;  // at least 1
  // Of yarn: the positions that the model was trained with before it was stretched.
  int64_t original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;  // the range of the ramp is widened to whole dimensions
  // The scale of cosines and sines; empty: it follows from factor and the two below.
  std::optional<double> attention_factor;
  std::optional<double> mscale;
  std::optional<double> mscale_all_dim;
};

struct RopeFields {
  double theta = 0.0;
  RopeScaling scaling;
};

// Reads rope_theta, rope_scaling (transformers 4) and rope_parameters (transformers 5) of a
// config.json. What is wrong, contradicts itself or is not computed here is an error of `fields`
// that names it.
RopeFields ReadRope(JsonFields& fields, int64_t max_position_embeddings);

// What ReadRope reads back as `scaling`: the value of rope_scaling.
Json ToJson(const RopeScaling& scaling);

}  // namespace sdar
