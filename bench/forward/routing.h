// SPDX-License-Identifier: Apache-2.0
// How the rows of a made-up model spread over its experts: by the router's weights alone, so that
// routing itself does the work it always does.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/checkpoint/model_config.h"

namespace sdar {

// uniform: every router row is like any other. skewed: row e is scaled by k / (k + e), so that low
// ids win more often. hot: all rows are zeros, so that ties give every row the k lowest ids.
enum class Routing { kUniform, kSkewed, kHot };

// Reads "uniform", "skewed" or "hot"; InvalidArgument names them.
absl::StatusOr<Routing> ParseRouting(absl::string_view name);

// What row `expert` of the router's weights is multiplied with.
float RouterRowScale(const ModelConfig& config, Routing routing, int64_t expert);

// Distinct experts that `rows` rows of a layer choose together, on average, were the products of
// rows and unscaled router rows independent and normal. Skewed: by simulation with a fixed seed.
double ExpectedExperts(const ModelConfig& config, Routing routing, int64_t rows);

}  // namespace sdar
